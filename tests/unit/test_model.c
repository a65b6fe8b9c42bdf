/* CPU models: names, feature sets, the -cpu text, and CPUID leaves of the models. */
#include <string.h>

#include "cpu/model.h"
#include "cpu/sys.h"
#include "tests/t.h"

static bool model_has(const char *text, enum feature f)
{
    uint64_t set[FEAT_WORDS];
    struct err e;
    return EXPECT(cpu_model_parse(text, set, &e) != NULL) && feature_in(set, f);
}

TEST(every_feature_word_of_every_model_is_known)
{
    for (const struct cpu_model *m = cpu_models; m->name; m++) {
        for (const char *p = m->adds; *p;) {
            size_t len = strcspn(p, " ");
            if (feature_find(p, len) == FEAT_COUNT) {
                FAIL("%s: unknown feature %.*s", m->name, (int)len, p);
            }
            p += len;
            p += strspn(p, " ");
        }
    }
}

TEST(models_inherit_and_differ)
{
    EXPECT(model_has("doppel64", FEAT_avx2));
    EXPECT(model_has("doppel64", FEAT_i186));
    EXPECT(model_has("max", FEAT_sha));
    EXPECT(!model_has("nehalem", FEAT_avx));
    EXPECT(model_has("nehalem", FEAT_sse4_2));
    EXPECT(!model_has("core2", FEAT_sse4_1));
    EXPECT(!model_has("pentium3", FEAT_lm));
    EXPECT(!model_has("pentium", FEAT_cmov));
    EXPECT(!model_has("386", FEAT_i486));
    EXPECT(!model_has("8086", FEAT_i186));
    EXPECT(model_has("8086", FEAT_only86));
    EXPECT(!model_has("286", FEAT_only86));
}

TEST(features_can_be_switched)
{
    EXPECT(!model_has("doppel64,-avx2", FEAT_avx2));
    EXPECT(!model_has("doppel64,avx2=off", FEAT_avx2));
    EXPECT(model_has("386,+fpu", FEAT_fpu));
    EXPECT(model_has("core2,+avx,avx2=on", FEAT_avx2));
}

TEST(bad_text_names_the_nearest)
{
    uint64_t set[FEAT_WORDS];
    struct err e;
    EXPECT(!cpu_model_parse("pentiun3", set, &e));
    EXPECT(strstr(e.msg, "pentium3") != NULL);
    EXPECT(!cpu_model_parse("core2,+ssee3", set, &e));
    EXPECT(strstr(e.msg, "sse") != NULL);
    EXPECT(!cpu_model_parse("core2,avx=maybe", set, &e));
    EXPECT(strstr(e.msg, "on or") != NULL);
}

static void query(const char *model, uint32_t cpus, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    static struct cpu cpu; /* too large for the stack */
    struct err e;
    memset(&cpu, 0, sizeof cpu);
    cpu.cpus = cpus;
    cpu.model = cpu_model_parse(model, cpu.features, &e);
    cpuid_query(&cpu, leaf, sub, out);
}

TEST(cpuid_identity)
{
    uint32_t r[4];
    char vendor[13] = {0};
    query("doppel64", 1, 0, 0, r);
    memcpy(vendor, &r[1], 4);
    memcpy(vendor + 4, &r[3], 4);
    memcpy(vendor + 8, &r[2], 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    EXPECT_STR(vendor, "GenuineIntel");
#endif
    query("pentium", 1, 1, 0, r);
    EXPECT_EQ(r[0], 0x543);
    EXPECT_EQ(r[3] & 1, 1);
    EXPECT_EQ(r[2], 0);
}

TEST(cpuid_pmu_is_absent)
{
    uint32_t r[4];
    query("doppel64", 4, 0xa, 0, r);
    EXPECT_EQ(r[0] | r[1] | r[2] | r[3], 0);
}

TEST(cpuid_topology_counts_cpus)
{
    uint32_t r[4];
    query("doppel64", 4, 0xb, 1, r);
    EXPECT_EQ(r[0], 2);
    EXPECT_EQ(r[1], 4);
    query("doppel64", 1, 0xb, 1, r);
    EXPECT_EQ(r[0], 0);
}

TEST(cpuid_xsave_sizes)
{
    uint32_t r[4];
    query("doppel64", 1, 0xd, 0, r);
    EXPECT_EQ(r[0], 7);
    EXPECT_EQ(r[2], 832);
    query("doppel64,-avx", 1, 0xd, 0, r);
    EXPECT_EQ(r[0], 3);
    EXPECT_EQ(r[2], 576);
    query("nehalem", 1, 0xd, 0, r);
    EXPECT_EQ(r[0], 0);
}
