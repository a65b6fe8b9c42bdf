/*
 * Reading, changing and writing INI files. A file may come from anywhere: everything in it is
 * checked, and its size is bounded.
 */
#include "frontends/ini.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INI_MAX (1u << 20) /* bytes */

static char *copy(const char *text, size_t len)
{
    char *s = strndup(text, len);
    if (!s) {
        abort();
    }
    return s;
}

/* --- Values --- */

/* A value as it stands in the file, to what it means. NULL: the quotes are wrong. */
static char *unquote(const char *text, size_t len)
{
    if (!len || *text != '"') {
        return copy(text, len);
    }
    char *out = copy(text, len);
    size_t at = 0, i = 1;
    for (; i < len && text[i] != '"'; i++) {
        char c = text[i];
        if (c == '\\' && i + 1 < len) {
            c = text[++i];
            c = c == 'n' ? '\n' : c;
        }
        out[at++] = c;
    }
    out[at] = 0;
    if (i + 1 != len) {
        free(out);
        return NULL;
    }
    return out;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool needs_quotes(const char *value)
{
    size_t n = strlen(value);
    return n && (is_blank(value[0]) || is_blank(value[n - 1]) || value[0] == '"' ||
                 strpbrk(value, "\r\n"));
}

/* "key = value", quoted if need be. */
static char *make_line(const char *key, const char *value)
{
    char *out = malloc(strlen(key) + 2 * strlen(value) + 8), *at = out;
    if (!out) {
        abort();
    }
    at += sprintf(at, "%s =%s", key, *value ? " " : "");
    if (!needs_quotes(value)) {
        strcpy(at, value);
        return out;
    }
    *at++ = '"';
    for (; *value; value++) {
        if (*value == '"' || *value == '\\' || *value == '\n') {
            *at++ = '\\';
        }
        *at++ = *value == '\n' ? 'n' : *value;
    }
    *at++ = '"';
    *at = 0;
    return out;
}

/* --- Lines --- */

static struct ini_line *insert(struct ini *ini, unsigned at)
{
    struct ini_line *line = realloc(ini->line, (ini->nlines + 1) * sizeof *line);
    if (!line) {
        abort();
    }
    ini->line = line;
    memmove(line + at + 1, line + at, (ini->nlines - at) * sizeof *line);
    ini->nlines++;
    line[at] = (struct ini_line){INI_OTHER, NULL, NULL, NULL};
    return &line[at];
}

static void line_free(struct ini_line *l)
{
    free(l->raw);
    free(l->name);
    free(l->value);
}

static void drop(struct ini *ini, unsigned at)
{
    line_free(&ini->line[at]);
    ini->nlines--;
    memmove(ini->line + at, ini->line + at + 1, (ini->nlines - at) * sizeof ini->line[0]);
}

void ini_free(struct ini *ini)
{
    for (unsigned i = 0; i < ini->nlines; i++) {
        line_free(&ini->line[i]);
    }
    free(ini->line);
    *ini = (struct ini){NULL, 0};
}

static void trim(const char **text, size_t *len)
{
    while (*len && is_blank(**text)) {
        ++*text;
        --*len;
    }
    while (*len && is_blank((*text)[*len - 1])) {
        --*len;
    }
}

static bool parse_key(struct ini_line *l, const char *text, size_t len, struct err *e)
{
    const char *eq = memchr(text, '=', len);
    if (!eq) {
        return err_set(e, "\"%.*s\": want KEY = VALUE, [SECTION], or # and a comment",
                       (int)(len < 60 ? len : 60), text);
    }
    const char *key = text, *value = eq + 1;
    size_t klen = (size_t)(eq - text), vlen = len - klen - 1;
    trim(&key, &klen);
    trim(&value, &vlen);
    if (!klen) {
        return err_set(e, "want a key in front of the \"=\"");
    }
    l->kind = INI_KEY;
    l->name = copy(key, klen);
    l->value = unquote(value, vlen);
    return l->value || err_set(e, "%.60s: want the value to end at its closing quote", l->name);
}

static bool parse_line(struct ini_line *l, const char *text, size_t len, struct err *e)
{
    if (len && text[len - 1] == '\r') {
        len--;
    }
    l->raw = copy(text, len);
    trim(&text, &len);
    if (!len || *text == '#' || *text == ';') {
        return true;
    }
    if (*text != '[') {
        return parse_key(l, text, len, e);
    }
    if (text[len - 1] != ']' || len < 3) {
        return err_set(e, "\"%.*s\": want [SECTION]", (int)(len < 60 ? len : 60), text);
    }
    text++;
    len -= 2;
    trim(&text, &len);
    l->kind = INI_SECTION;
    l->name = copy(text, len);
    return true;
}

bool ini_parse(struct ini *ini, const char *name, const char *text, size_t len, struct err *e)
{
    static const char mark[] = "\xef\xbb\xbf"; /* UTF-8, as some editors begin a file */
    *ini = (struct ini){NULL, 0};
    if (len >= 3 && memcmp(text, mark, 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (memchr(text, 0, len)) {
        return err_set(e, "%s: not a text file", name);
    }
    while (len) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        if (!parse_line(insert(ini, ini->nlines), text, n, e)) {
            err_prefix(e, "%s:%u", name, ini->nlines);
            ini_free(ini);
            return false;
        }
        text += n + (end != NULL);
        len -= n + (end != NULL);
    }
    return true;
}

bool ini_read(struct ini *ini, const char *path, struct err *e)
{
    struct stat st;
    *ini = (struct ini){NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        err_set(e, "%s: %s", path, f ? "not a regular file" : strerror(errno));
        if (f) {
            fclose(f);
        }
        return false;
    }
    char *text = malloc(INI_MAX + 1);
    if (!text) {
        abort();
    }
    size_t len = fread(text, 1, INI_MAX + 1, f);
    bool ok = !ferror(f);
    fclose(f);
    if (!ok || len > INI_MAX) {
        free(text);
        return err_set(e, "%s: %s", path,
                       ok ? "too large for a machine's description" : "read error");
    }
    ok = ini_parse(ini, path, text, len, e);
    free(text);
    return ok;
}

/* --- Changing --- */

/* The lines of a section: *first is behind its head, the result behind its last. */
static unsigned find_section(struct ini *ini, const char *section, unsigned *first)
{
    unsigned i = 0;
    while (i < ini->nlines &&
           (ini->line[i].kind != INI_SECTION || strcmp(ini->line[i].name, section) != 0)) {
        i++;
    }
    if (i == ini->nlines) {
        struct ini_line *l;
        if (i) {
            insert(ini, i++)->raw = copy("", 0);
        }
        l = insert(ini, i);
        l->kind = INI_SECTION;
        l->name = copy(section, strlen(section));
        l->raw = malloc(strlen(section) + 3);
        if (!l->raw) {
            abort();
        }
        sprintf(l->raw, "[%s]", section);
    }
    *first = ++i;
    while (i < ini->nlines && ini->line[i].kind != INI_SECTION) {
        i++;
    }
    return i;
}

static void set_value(struct ini_line *l, const char *key, const char *value)
{
    line_free(l);
    l->kind = INI_KEY;
    l->raw = make_line(key, value);
    l->name = copy(key, strlen(key));
    l->value = copy(value, strlen(value));
}

/* Where a new key goes: behind the last of its name, else behind the section's last key. */
static unsigned place(const struct ini *ini, unsigned first, unsigned end, const char *key)
{
    unsigned like = 0, last = first;
    for (unsigned i = first; i < end; i++) {
        const struct ini_line *l = &ini->line[i];
        if (l->kind == INI_KEY) {
            last = i + 1;
            like = strcmp(l->name, key) == 0 ? i + 1 : like;
        }
    }
    /* Comments at the head of a section without keys stay above what is added. */
    while (!like && last == first && last < end && *ini->line[last].raw) {
        first = ++last;
    }
    return like ? like : last;
}

void ini_set_section(struct ini *ini, const char *section, const struct ini_entry *entry,
                     unsigned n)
{
    unsigned first, end = find_section(ini, section, &first);
    bool *used = calloc(n + 1, sizeof *used);
    if (!used) {
        abort();
    }
    for (unsigned i = first; i < end; i++) {
        struct ini_line *l = &ini->line[i];
        unsigned k = 0;
        if (l->kind != INI_KEY) {
            continue;
        }
        while (k < n && (used[k] || strcmp(entry[k].key, l->name) != 0)) {
            k++;
        }
        if (k == n) {
            drop(ini, i--);
            end--;
            continue;
        }
        used[k] = true;
        if (strcmp(l->value, entry[k].value) != 0) {
            set_value(l, entry[k].key, entry[k].value);
        }
    }
    for (unsigned k = 0; k < n; k++) {
        if (!used[k]) {
            set_value(insert(ini, place(ini, first, end++, entry[k].key)), entry[k].key,
                      entry[k].value);
        }
    }
    free(used);
}

/* --- Writing --- */

char *ini_text(const struct ini *ini, size_t *len)
{
    size_t n = 0, at = 0;
    for (unsigned i = 0; i < ini->nlines; i++) {
        n += strlen(ini->line[i].raw) + 1;
    }
    char *text = malloc(n + 1);
    if (!text) {
        abort();
    }
    for (unsigned i = 0; i < ini->nlines; i++) {
        at += (size_t)sprintf(text + at, "%s\n", ini->line[i].raw);
    }
    text[n] = 0;
    *len = n;
    return text;
}

bool ini_write(const struct ini *ini, const char *path, struct err *e)
{
    size_t len;
    char *text = ini_text(ini, &len), *tmp = malloc(strlen(path) + 5);
    if (!tmp) {
        abort();
    }
    sprintf(tmp, "%s.tmp", path);
    FILE *f = fopen(tmp, "wb");
    bool ok = f && fwrite(text, 1, len, f) == len;
    ok = (!f || fclose(f) == 0) && ok;
    ok = ok && rename(tmp, path) == 0;
    if (!ok) {
        err_set(e, "%s: %s", path, strerror(errno));
        if (f) {
            remove(tmp);
        }
    }
    free(tmp);
    free(text);
    return ok;
}
