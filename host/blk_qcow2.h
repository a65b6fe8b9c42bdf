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

/* "Standard Cluster Descriptor", and the same bits in L1 entries. */
#define QC_COPIED     (UINT64_C(1) << 63) /* the refcount is exactly one: may be written in place */
#define QC_COMPRESSED (UINT64_C(1) << 62)
#define QC_ZERO       UINT64_C(1)
#define QC_OFFSET     UINT64_C(0x00fffffffffffe00)

#define QC_INCOMPAT_DIRTY   UINT64_C(1)
#define QC_INCOMPAT_CORRUPT UINT64_C(2)

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
    bool sync_data;   /* unsynced: what nothing refers to yet (data, fresh tables) */
    bool sync_counts; /* unsynced: refcount blocks */
    bool in_use;      /* the header has been prepared for writing */
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

/* --- blk_qcow2.c --- */

/* Read what the guest sees; any bytes. What lies behind the disk is zeros. */
bool qc_read(struct qcow2 *q, uint64_t off, uint8_t *buf, size_t len);

#endif
