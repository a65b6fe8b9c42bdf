/*
 * integer.c: integer workloads: what compilers, shells, databases and interpreters are made of.
 */
#include "work.h"
#include <stdlib.h>
#include <string.h>

/* Rotate, multiply, add over a buffer, in the machine's word: arithmetic with a long dependency. */
uint32_t work_hash(unsigned scale)
{
    static unsigned long words[4096];
    uint32_t state = 1;
    for (unsigned i = 0; i < 4096; i++) {
        words[i] = work_random(&state);
    }
    const unsigned bits = sizeof(long) * 8;
    unsigned long h = 0;
    for (unsigned round = work_count(40000, scale); round != 0; round--) {
        for (unsigned i = 0; i < 4096; i += 2) {
            unsigned long k = words[i] * 0xcc9e2d51u;
            k = k << 15 | k >> (bits - 15);
            h ^= k * 0x1b873593u;
            h = h << 13 | h >> (bits - 13);
            h = h * 5 + 0xe6546b64u;
            words[i + 1] ^= h;
        }
    }
    return work_mix((uint32_t)h, (uint32_t)(h >> (bits / 2)));
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The C library's qsort: calls through a pointer, branches that nobody can foresee. */
uint32_t work_sort(unsigned scale)
{
    enum { N = 40000 };
    uint32_t *list = malloc(N * sizeof(*list)), state = 7, sum = 0;
    for (unsigned round = work_count(16, scale); round != 0; round--) {
        for (unsigned i = 0; i < N; i++) {
            list[i] = work_random(&state);
        }
        qsort(list, N, sizeof(*list), compare);
        for (unsigned i = 0; i < N; i += 100) {
            sum = work_mix(sum, list[i]);
        }
    }
    free(list);
    return sum;
}

struct node {
    struct node *next;
    char key[12];
    uint32_t count;
};

/* A chained hash table of strings that grows and shrinks: pointers, malloc, short compares. */
uint32_t work_table(unsigned scale)
{
    enum { BUCKETS = 8192 };
    static struct node *buckets[BUCKETS];
    uint32_t state = 99, sum = 0;
    for (unsigned n = work_count(1200000, scale); n != 0; n--) {
        uint32_t r = work_random(&state);
        char key[12] = "key";
        uint32_t hash = 0, number = r % 20011;
        for (unsigned i = 3; i < 9; i++) {
            key[i] = (char)('a' + (number & 7));
            number >>= 3;
            hash = hash * 31 + (unsigned char)key[i];
        }
        struct node **at = &buckets[(hash ^ hash >> 13) % BUCKETS];
        while (*at && strcmp((*at)->key, key) != 0) {
            at = &(*at)->next;
        }
        struct node *node = *at;
        if (!node) {
            node = malloc(sizeof(*node));
            memcpy(node->key, key, sizeof(key));
            node->count = 0;
            node->next = *at;
            *at = node;
        }
        node->count++;
        if ((r >> 28) == 0) {
            *at = node->next;
            sum = work_mix(sum, node->count);
            free(node);
        }
    }
    return sum;
}

/* A small virtual machine: one indirect jump for each instruction. */
enum op { OP_SET, OP_ADD, OP_MUL, OP_XOR, OP_SHR, OP_LOAD, OP_STORE, OP_NEXT, OP_END };

struct instruction {
    uint8_t op, a, b, c;
};

static uint32_t interpret(const struct instruction *code, uint32_t *memory, uint32_t *reg)
{
    for (const struct instruction *i = code;; i++) {
        switch ((enum op)i->op) {
        case OP_SET:
            reg[i->a] = (uint32_t)i->b << 8 | i->c;
            break;
        case OP_ADD:
            reg[i->a] = reg[i->b] + reg[i->c];
            break;
        case OP_MUL:
            reg[i->a] = reg[i->b] * reg[i->c];
            break;
        case OP_XOR:
            reg[i->a] = reg[i->b] ^ reg[i->c];
            break;
        case OP_SHR:
            reg[i->a] = reg[i->b] >> i->c;
            break;
        case OP_LOAD:
            reg[i->a] = memory[reg[i->b] % 1024];
            break;
        case OP_STORE:
            memory[reg[i->b] % 1024] = reg[i->a];
            break;
        case OP_NEXT: /* counts register a down; back by c unless it is 0 */
            if (--reg[i->a] != 0) {
                i -= i->c;
            }
            break;
        case OP_END:
            return reg[0];
        }
    }
}

uint32_t work_bytecode(unsigned scale)
{
    static const struct instruction program[] = {
        {OP_SET, 1, 0x39, 0xd3}, {OP_SET, 2, 0x10, 0x01}, {OP_SET, 4, 0xff, 0xff},
        {OP_MUL, 0, 0, 1}, /* the loop: 10 instructions */
        {OP_ADD, 0, 0, 2},       {OP_SHR, 3, 0, 16},      {OP_LOAD, 5, 3, 0},
        {OP_XOR, 5, 5, 0},       {OP_STORE, 5, 3, 0},     {OP_SHR, 6, 5, 7},
        {OP_ADD, 0, 0, 6},       {OP_XOR, 0, 0, 4},       {OP_NEXT, 4, 0, 10},
        {OP_END, 0, 0, 0},
    };
    static uint32_t memory[1024];
    uint32_t reg[8] = {0}, sum = 0;
    for (unsigned round = work_count(50, scale); round != 0; round--) {
        sum = work_mix(sum, interpret(program, memory, reg));
    }
    return sum;
}

/* Calls: recursion, and methods through tables of pointers. */
static uint32_t __attribute__((noinline)) fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

struct shape {
    const struct shape_class *class;
    uint32_t a, b;
};

struct shape_class {
    uint32_t (*area)(const struct shape *);
    void (*grow)(struct shape *, uint32_t);
};

static uint32_t square_area(const struct shape *s)
{
    return s->a * s->a;
}

static uint32_t box_area(const struct shape *s)
{
    return s->a * s->b;
}

static uint32_t wedge_area(const struct shape *s)
{
    return s->a * s->b / 2;
}

static void grow_a(struct shape *s, uint32_t by)
{
    s->a += by;
}

static void grow_both(struct shape *s, uint32_t by)
{
    s->a += by;
    s->b ^= by;
}

uint32_t work_calls(unsigned scale)
{
    static const struct shape_class classes[] = {
        {square_area, grow_a}, {box_area, grow_both}, {wedge_area, grow_both}};
    enum { SHAPES = 256 };
    static struct shape shapes[SHAPES];
    uint32_t state = 5, sum = 0;
    for (unsigned i = 0; i < SHAPES; i++) {
        shapes[i].class = &classes[work_random(&state) % 3];
        shapes[i].a = i;
        shapes[i].b = work_random(&state) % 100;
    }
    for (unsigned round = work_count(800, scale); round != 0; round--) {
        sum = work_mix(sum, fib(20));
        for (unsigned i = 0; i < 20 * SHAPES; i++) {
            struct shape *s = &shapes[i % SHAPES];
            s->class->grow(s, sum & 15);
            sum += s->class->area(s);
        }
    }
    return sum;
}

/* Compression by a table of recent places (as LZ4's), and its reverse: loads and stores of bytes.
 */
static unsigned compress(const uint8_t *in, unsigned size, uint8_t *out)
{
    static uint16_t recent[4096];
    unsigned n = 0, i = 0;
    memset(recent, 0, sizeof(recent));
    while (i + 4 <= size) {
        uint32_t four = in[i] | (uint32_t)in[i + 1] << 8 | (uint32_t)in[i + 2] << 16 |
                        (uint32_t)in[i + 3] << 24;
        uint16_t *slot = &recent[four * 2654435761u >> 20];
        unsigned from = *slot, length = 0;
        *slot = (uint16_t)i;
        while (from < i && length < 127 && i + length < size &&
               in[from + length] == in[i + length]) {
            length++;
        }
        if (length >= 4) {
            out[n++] = (uint8_t)(0x80 | length);
            out[n++] = (uint8_t)from;
            out[n++] = (uint8_t)(from >> 8);
            i += length;
        } else {
            out[n++] = in[i++] & 0x7f;
        }
    }
    return n;
}

static unsigned expand(const uint8_t *in, unsigned size, uint8_t *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < size; i++) {
        if (in[i] & 0x80) {
            unsigned from = in[i + 1] | (unsigned)in[i + 2] << 8;
            for (unsigned length = in[i] & 0x7f; length != 0; length--) {
                out[n++] = out[from++];
            }
            i += 2;
        } else {
            out[n++] = in[i];
        }
    }
    return n;
}

uint32_t work_compress(unsigned scale)
{
    enum { SIZE = 60000 };
    static uint8_t text[SIZE], packed[SIZE], again[SIZE];
    uint32_t state = 3, sum = 0;
    for (unsigned round = work_count(300, scale); round != 0; round--) {
        /* Words of a small vocabulary, some of them misspelled. */
        for (unsigned i = 0; i < SIZE; i++) {
            if (i % 8 == 0) {
                work_random(&state);
            }
            text[i] = (uint8_t)('a' + (state % 61 * (i % 8 + 1)) % 26);
        }
        unsigned n = compress(text, SIZE, packed);
        if (memcmp(text, again, expand(packed, n, again)) != 0) {
            work_die("compress: not the same text");
        }
        sum = work_mix(sum, n);
    }
    return sum;
}

/* The C library's string and memory functions, from one byte to some pages. */
uint32_t work_strings(unsigned scale)
{
    enum { SIZE = 32768 };
    static char a[SIZE + 64], b[SIZE + 64];
    uint32_t state = 11, sum = 0;
    for (unsigned i = 0; i < SIZE; i++) {
        a[i] = (char)('a' + work_random(&state) % 26);
    }
    for (unsigned round = work_count(100000, scale); round != 0; round--) {
        uint32_t r = work_random(&state);
        /* Mostly short, now and then long. */
        unsigned length = (r & 0xff) < 200   ? r >> 8 & 63
                          : (r & 0xff) < 252 ? r >> 8 & 1023
                                             : SIZE / 2;
        unsigned from = r >> 20 & 1023, to = r >> 10 & 1023;
        memcpy(b + to, a + from, length);
        b[to + length] = 0;
        sum = work_mix(sum, (uint32_t)strlen(b + to));
        sum += (uint32_t)(memcmp(a + from, b + to, length + 1) > 0);
        sum += (uint32_t)(strcmp(b + to, a + from) < 0);
        char *found = memchr(b + to, 'q', length);
        sum = work_mix(sum, found ? (uint32_t)(found - b) : 0);
        memmove(b + to + 3, b + to, length);
        found = strchr(b + to, 'z');
        sum = work_mix(sum, found ? (uint32_t)(found - b) : 1);
        memset(b + to, (int)(r & 0x7f) | 1, length / 2 + 1);
        found = strstr(a + from, "qz");
        sum = work_mix(sum, found ? (uint32_t)(found - a) : 2);
    }
    return sum;
}
