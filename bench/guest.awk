# guest.awk: the report of bench/guest.sh. First file: names and classes; second: what was gathered.
# Prints medians of processor time, ratios and geometric means of each class beside the goals (the
# project's issue on the JIT); writes one line of JSON to ENTRY. Fails if checksums differ or
# somebody did not run a workload.
function median(key,   n, t, i, j, x) {
    n = split(times[key], t, " ")
    for (i = 2; i <= n; i++) {
        for (j = i; j > 1 && t[j] + 0 < t[j - 1] + 0; j--) {
            x = t[j]; t[j] = t[j - 1]; t[j - 1] = x
        }
    }
    return n == 0 ? 0 : n % 2 ? t[(n + 1) / 2] : (t[n / 2] + t[n / 2 + 1]) / 2
}
function cell(value, format) { return value ? sprintf(format, value) : "-" }
FNR == NR {
    order[++count] = $1; class[$1] = $2
    if (!(($2) in seen)) { seen[$2] = 1; classes[++nclasses] = $2 }
    next
}
{
    times[$1 " " $2] = times[$1 " " $2] " " $3
    times["wall " $1 " " $2] = times["wall " $1 " " $2] " " $4
    if ($5 != "-" && ($2 in sum) && sum[$2] != $5) {
        print $2 ": " $1 " has checksum " $5 ", others " sum[$2]
        bad = 1
    }
    sum[$2] = $5
}
END {
    goal["integer"] = 3; goal["float"] = 10; goal["system"] = 3; goal["rewritten"] = 20
    goal["boot"] = 3
    what = bits ? "programs of " bits " bits, kernel " kernel ", size " scale " %" : "boots"
    printf "%s; %s; load %s\n", what, commit, load
    print "processor seconds, medians; TCG / doppel by processor time and by the clock; goal"
    printf "%-10s %-9s %8s %8s %7s %7s %8s %7s\n", "workload", "class", "doppel", "TCG", "ratio",
           "clock", "native", "d/nat."
    for (i = 1; i <= count; i++) {
        name = order[i]
        if (works && !index("," works ",boot,", "," name ",")) { continue }
        d = median("doppel " name); q = median("tcg " name); n = median("native " name)
        dw = median("wall doppel " name); qw = median("wall tcg " name)
        if (!d) { print name ": not run"; bad = 1; continue }
        low = q && q / d < 1.2 ? " *" : ""
        printf "%-10s %-9s %8.3f %8s %7s %7s %8s %7s%s\n", name, class[name], d, cell(q, "%.3f"),
               cell(q / d, "%.2f"), cell(dw ? qw / dw : 0, "%.2f"), cell(n, "%.3f"),
               cell(n ? d / n : 0, "%.1f"), low
        json = json (json ? "," : "") sprintf("\"%s\":{\"doppel\":%.4f,\"tcg\":%.4f,\"native\":%.4f}",
               name, d, q, n)
        if (q) { logs[class[name]] += log(q / d); logn[class[name]]++ }
        if (n) { logd[class[name]] += log(d / n); lognn[class[name]]++ }
    }
    printf "geometric means:"
    for (i = 1; i <= nclasses; i++) {
        c = classes[i]
        if (logn[c]) {
            mean = exp(logs[c] / logn[c])
            printf "%s %s %.2f (goal %d)", (means ? "," : ""), c, mean, goal[c]
            means = means (means ? "," : "") sprintf("\"%s\":%.3f", c, mean)
        }
    }
    print ""
    printf "{\"date\":\"%s\",\"commit\":\"%s\",\"cpu\":\"%s\",\"load\":%s,\"bits\":\"%s\"," \
           "\"kernel\":\"%s\",\"scale\":%d,\"runs\":%d,\"engine\":\"%s\",\"means\":{%s}," \
           "\"seconds\":{%s}}\n", date, commit, cpu, load, bits, kernel, scale, runs, engine,
           means, json >entry
    exit bad
}
