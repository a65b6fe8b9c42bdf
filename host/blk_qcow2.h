/*
 * qcow2 images, versions 2 and 3: what the parts of the format share. Private to host/blk_qcow2*.
 *
 * A disk is mapped in clusters of 512 bytes to 2 MiB: the L1 table points to L2 tables (one cluster
 * each), whose entries say where a cluster of the disk lies in the file, or that it is compressed,
 * all zeros, or in the backing file. The refcount table points to refcount blocks (one cluster
 * each), which count the references to each cluster of the file. All numbers in the file are big-
 * endian.
 *
 *   blk_qcow2_header.c  header, its extensions, the backing file's name: parse and check
 *   blk_qcow2_map.c     L1 and L2: from an offset of the disk to a place in the file
 *   blk_qcow2_alloc.c   refcounts: find, take and give back clusters of the file
 *   blk_qcow2_write.c   writes of the guest: allocation, copy on write
 *   blk_qcow2_commit.c  in what order metadata reaches the file
 *   blk_qcow2_check.c   count all references; compare or rebuild the refcounts
 *   blk_qcow2_create.c  a new, empty image
 *   blk_qcow2.c         open, read and close
 *
 * What always holds, at any instant and for any loss of writes that were not yet synced: a cluster
 * that something on stable storage refers to has its count there, and what it refers to is written.
 * So an interrupted image has at worst clusters that are counted and not used (leaks).
 *
 * Every number from the file is hostile: memory is bounded by the limits below, work by the length
 * of the file; what contradicts itself fails the request with errno QC_BAD.
 *
 * Source: "The QCOW2 image format", docs/interop/qcow2.txt of QEMU; section names are cited.
 */
#ifndef DOPPEL_HOST_BLK_QCOW2_H
#define DOPPEL_HOST_BLK_QCOW2_H

#include <errno.h>

#include "host/blk_priv.h"
#include "util/bits.h"

/* The errno for an image that contradicts itself: "Structure needs cleaning" where there is one. */
#ifdef EUCLEAN
#define QC_BAD EUCLEAN
#else
#define QC_BAD EIO
#endif

/* --- The format --- */

#define QC_MAGIC            0x514649fbu
#define QC_CLUSTER_BITS_MIN 9u
#define QC_CLUSTER_BITS_MAX 21u
#define QC_HEADER_V2        72u
#define QC_HEADER_V3        104u
#define QC_L1_MAX           (UINT32_C(1) << 22) /* entries: 32 MiB, as QEMU has it */
#define QC_RT_MAX_BYTES     (UINT32_C(1) << 23) /* of the refcount table, as QEMU has it */
#define QC_BACKING_MAX      1023u
#define QC_SNAPSHOTS_MAX    65536u
#define QC_BYTES_MAX        (UINT64_C(1) << 56)

/* Magic numbers of header extensions. */
#define QC_EXT_END            0u
#define QC_EXT_BACKING_FORMAT 0xe2792acau
#define QC_EXT_FEATURE_NAMES  0x6803f857u
#define QC_EXT_BITMAPS        0x23852875u

/* "Standard Cluster Descriptor", and the same bits in L1 entries. */
#define QC_COPIED     (UINT64_C(1) << 63) /* the refcount is exactly one: may be written in place */
#define QC_COMPRESSED (UINT64_C(1) << 62)
#define QC_ZERO       UINT64_C(1)
#define QC_OFFSET     UINT64_C(0x00fffffffffffe00)

#define QC_INCOMPAT_DIRTY    UINT64_C(1)
#define QC_INCOMPAT_CORRUPT  UINT64_C(2)
#define QC_AUTOCLEAR_BITMAPS UINT64_C(1) /* the dirty bitmaps are true */

struct qc_header {
    uint32_t version;
    uint32_t cluster_bits;
    uint64_t size; /* of the disk, bytes */
    uint64_t l1_off, rt_off, snapshots_off;
    uint32_t l1_size; /* entries */
    uint32_t rt_clusters;
    uint32_t nsnapshots;
    uint64_t incompatible, compatible, autoclear; /* version 2: 0 */
    uint32_t refcount_order;                      /* a count has 1 << this bits; 0 to 6 */
    uint32_t length;                              /* of the header */
    uint64_t bitmaps_off, bitmaps_len;            /* the directory of dirty bitmaps; 0: none */
    char backing[QC_BACKING_MAX + 1];             /* as it stands in the image; "": none */
    char backing_format[16];                      /* "": not said */
};

/* --- In memory --- */

/* An L2 table or refcount block, as it is in the file. */
struct qc_table {
    uint64_t key;  /* its index in the L1 or refcount table */
    uint64_t off;  /* where it lies */
    uint64_t used; /* when it was last asked for; 0: this entry is empty */
    bool dirty;
    bool fresh; /* nothing in the file refers to it yet: it may be written at any time */
    uint8_t *data;
};

#define QC_WAYS 4u

struct qc_cache {
    struct qc_table *t; /* sets * QC_WAYS; a key belongs into set key % sets */
    unsigned sets;
    uint64_t tick;
};

/* The L1 or the refcount table: whole in memory, in the host's byte order. */
struct qc_index {
    uint64_t *e; /* NULL: not loaded */
    uint64_t off;
    uint32_t n;
    uint8_t *dirty; /* one for each QC_INDEX_UNIT entries */
    bool any_dirty;
};
#define QC_INDEX_UNIT 64u /* 512 bytes: what a disk writes whole */

struct qc_free {
    uint64_t first, n; /* clusters whose counts go down by one */
};

struct qcow2 {
    struct blk blk; /* first */
    struct blk_file file;
    struct blk *backing; /* NULL: none */
    struct qc_header h;
    uint32_t cluster; /* bytes */
    uint32_t l2_bits; /* log2 of the entries of an L2 table */
    uint32_t rb_bits; /* log2 of the counts in a refcount block */
    uint64_t limit;   /* the disk's size in whole clusters, bytes */
    struct qc_index l1, rt;
    struct qc_cache l2, rb;

    uint8_t *plain; /* the compressed cluster last read; NULL: none yet */
    uint64_t plain_entry;
    uint8_t *packed; /* as it is in the file */

    uint8_t *bounce;        /* one cluster, for copy on write; NULL: none yet */
    uint64_t hint;          /* no cluster below this one is free, as far as known */
    struct qc_free *doomed; /* to be given back once nothing in the file refers to them */
    unsigned ndoomed;
    bool unsynced; /* something was written since the last sync */
};

#define QC_DOOMED_MAX 1024u

/* --- blk_qcow2_header.c --- */

/* e: "PATH: what is wrong". */
bool qc_header_read(const struct blk_file *f, const char *path, struct qc_header *h, struct err *e);
/* The path of the backing file of an image at `path`; NULL: no memory. Free it. */
char *qc_backing_path(const char *path, const char *backing);

/* --- blk_qcow2_map.c --- */

enum qc_kind { QC_HOLE, QC_ZEROS, QC_DATA, QC_PACKED };

/* A run of bytes of the disk that lies in one piece. */
struct qc_extent {
    enum qc_kind kind;
    uint64_t at; /* QC_DATA: of its first byte in the file; QC_PACKED: the L2 entry */
    size_t len;
};

bool qc_cache_init(struct qc_cache *c, uint32_t cluster);
void qc_cache_free(struct qc_cache *c);
/* The entry with this key, or NULL. */
struct qc_table *qc_cache_find(struct qc_cache *c, uint64_t key);
/* An entry for a key that is not there: the set's least recently used one, which the caller makes
 * empty if it is not (used != 0) and then fills. NULL: no memory. */
struct qc_table *qc_cache_victim(struct qc_cache *c, uint64_t key, uint32_t cluster);
void qc_cache_take(struct qc_cache *c, struct qc_table *t, uint64_t key, uint64_t off);

/* Read n entries at off. False: errno. */
bool qc_index_load(const struct qcow2 *q, struct qc_index *x, uint64_t off, uint32_t n);
void qc_index_free(struct qc_index *x);
void qc_index_set(struct qc_index *x, uint32_t i, uint64_t v);

/* [off, off+len) lies inside the file, or errno is QC_BAD. */
bool qc_inside(const struct qcow2 *q, uint64_t off, uint64_t len);
/* Read a table of one cluster into memory. */
bool qc_table_read(const struct qcow2 *q, uint64_t off, uint8_t *data);

/* An entry of the L2 cache to fill; what was in it is safe. NULL: errno. */
struct qc_table *qc_l2_room(struct qcow2 *q, uint64_t i);
/* The L2 table with L1 index i. *t is NULL if there is none. False: errno. */
bool qc_l2_get(struct qcow2 *q, uint64_t i, struct qc_table **t);
/* What the first bytes of [off, off+len) are; x->len > 0 of them. off < q->limit. */
bool qc_map(struct qcow2 *q, uint64_t off, size_t len, struct qc_extent *x);
/* Where the data of a compressed cluster lies: bytes of the file. */
void qc_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint32_t *len);
/* Decompress into q->plain. */
bool qc_unpack(struct qcow2 *q, uint64_t entry);

static inline uint64_t qc_l1_index(const struct qcow2 *q, uint64_t off)
{
    return off >> (q->h.cluster_bits + q->l2_bits);
}

static inline uint32_t qc_l2_index(const struct qcow2 *q, uint64_t off)
{
    return (uint32_t)(off >> q->h.cluster_bits) & ((1u << q->l2_bits) - 1);
}

static inline uint64_t qc_round_up(const struct qcow2 *q, uint64_t bytes)
{
    return (bytes + q->cluster - 1) & ~(uint64_t)(q->cluster - 1);
}

/* --- blk_qcow2_alloc.c --- */

/* Read the refcount table; forget what is in memory of refcounts. False: errno. */
bool qc_counts_load(struct qcow2 *q);
/* The i-th count of a refcount block. */
uint64_t qc_count_get(const uint8_t *block, uint32_t i, uint32_t order);
void qc_count_set(uint8_t *block, uint32_t i, uint32_t order, uint64_t v);

/* The refcount block with refcount table index key. *t is NULL if there is none. False: errno. */
bool qc_rb_get(struct qcow2 *q, uint64_t key, struct qc_table **t);
/* Take a free cluster: its count is 1 in memory. It is on no account one that the file on stable
 * storage still refers to. False: errno. */
bool qc_alloc(struct qcow2 *q, uint64_t *off);
/* Give back a cluster that nothing ever referred to, in memory or in the file. Keeps errno. */
void qc_unalloc(struct qcow2 *q, uint64_t off);
/* The n clusters from `off` lose a reference, once the next commit has made that true in the file.
 * There is room for one after qc_doom_room. */
void qc_doom(struct qcow2 *q, uint64_t off, uint64_t n);
bool qc_doom_room(struct qcow2 *q);
/* The last step of a commit: counts of what was doomed go down. */
void qc_doom_apply(struct qcow2 *q);

/* --- blk_qcow2_write.c --- */

bool qc_write(struct qcow2 *q, uint64_t off, const uint8_t *buf, size_t len);

/* --- blk_qcow2_commit.c --- */

/* Write to the file, and remember that it was. */
bool qc_put(struct qcow2 *q, uint64_t off, const void *buf, size_t len);
bool qc_sync(struct qcow2 *q); /* nothing to do if nothing was written */
bool qc_table_put(struct qcow2 *q, const struct qc_table *t);
/* All that was written is on stable storage, and so is all that leads to it. False: errno; what
 * could not be written stays in memory for the next time. */
bool qc_commit(struct qcow2 *q);
/* Once, before anything else is written: features that writing would make untrue are taken back. */
bool qc_begin(struct qcow2 *q);
/* Another refcount table, whole and synced, is the image's from here on. `clean`: and the image is
 * no longer dirty. */
bool qc_header_switch(struct qcow2 *q, uint64_t rt_off, uint32_t rt_clusters, bool clean);

/* --- blk_qcow2_check.c --- */

/* References to each cluster of the file, as they were found by following them all. */
struct qc_census {
    uint64_t n;      /* clusters of the file */
    uint32_t *refs;  /* to each */
    uint32_t *mult;  /* of those: as an L2 table */
    uint64_t errors; /* references to nowhere */
    void (*say)(void *ctx, const char *line);
    void *ctx;
};

/* Reads q's refcount table if it must. False: e; also with errors found. Free in any case. */
bool qc_census_take(struct qcow2 *q, const char *path, struct qc_census *c, struct err *e);
void qc_census_free(struct qc_census *c);
/* For an image that was not closed properly, or to repair it: all refcounts made anew behind the
 * end of the file, COPIED bits made right, then the header switched over. */
bool qc_rebuild(struct qcow2 *q, const char *path, struct qc_census *c, struct err *e);

/* What blk_check does, for an image that is open. c: its `say` is set; free it in any case. */
bool qc_check(struct qcow2 *q, const char *path, bool repair, struct qc_census *c,
              struct blk_check *r, struct err *e);

/* --- blk_qcow2_create.c --- */

/* Into an empty file. */
bool qc_create(struct blk_file *f, const char *path, const struct blk_create *how, struct err *e);

/* --- blk_qcow2.c --- */

/* Read what the guest sees; any bytes. What lies behind the disk is zeros. */
bool qc_read(struct qcow2 *q, uint64_t off, uint8_t *buf, size_t len);

#endif
