/*
 * amx.c - compiled for processors that have AMX; called only there (amx_available).
 *
 * The unit has eight tiles of 16 rows of 64 bytes. Blocks of 32 x 32 sums use four of them, and
 * two each for x and w: every load is used twice. Its configuration belongs to the thread, so a
 * task begins with amx_begin and ends with amx_end, and nothing between them may block.
 */
#define _GNU_SOURCE
#include "kernels/cpu/cpu_tile.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

enum {
    TILE = 16,
    ROW_BYTES = AMX_STEP * 4, /* a row of 32 sums, or of 32 pairs */
    K_CHUNK = 256,            /* 32 columns of w this long stay in the nearest cache */
};

/* Eight tiles of 16 rows of 64 bytes. */
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_per_row[16];
    uint8_t rows[16];
} config = {
    .palette = 1,
    .bytes_per_row = { 64, 64, 64, 64, 64, 64, 64, 64 },
    .rows = { TILE, TILE, TILE, TILE, TILE, TILE, TILE, TILE },
};

void amx_begin(void) { _tile_loadconfig(&config); }

void amx_end(void) { _tile_release(); }

/* y[32, 32] (+)= x[32, k] w[k, 32]: x rows x_bytes apart, w as pairs of rows. */
static inline __attribute__((always_inline)) void
multiply_block(float *y, const void *x, int64_t x_bytes, const void *w, int64_t k, bool add)
{
    const char *a = x, *b = w;
    char *const c = (char *)y;

    /* What was stored must be in memory now: the compiler does not see tiles read it. */
    __asm__ volatile("" ::: "memory");
    if (add) {
        _tile_loadd(0, c, ROW_BYTES);
        _tile_loadd(1, c + 64, ROW_BYTES);
        _tile_loadd(2, c + TILE * ROW_BYTES, ROW_BYTES);
        _tile_loadd(3, c + TILE * ROW_BYTES + 64, ROW_BYTES);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (; k > 0; k -= AMX_STEP, a += 2 * AMX_STEP, b += TILE * ROW_BYTES) {
        _tile_loadd(4, a, x_bytes);
        _tile_loadd(6, b, ROW_BYTES);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + 64, ROW_BYTES);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + TILE * x_bytes, x_bytes);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, ROW_BYTES);
    _tile_stored(1, c + 64, ROW_BYTES);
    _tile_stored(2, c + TILE * ROW_BYTES, ROW_BYTES);
    _tile_stored(3, c + TILE * ROW_BYTES + 64, ROW_BYTES);
}

/* Rows become columns, sixteen 32-bit numbers each. */
static inline __attribute__((always_inline)) void transpose_tile(__m512i r[TILE])
{
    __m512i t[TILE];

#pragma GCC unroll 8
    for (int i = 0; i < TILE; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < TILE; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512i const even_top = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        __m512i const even_low = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        __m512i const odd_top = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        __m512i const odd_low = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
        t[i] = _mm512_shuffle_i32x4(even_top, even_low, 0x88);
        t[8 + i] = _mm512_shuffle_i32x4(even_top, even_low, 0xdd);
        t[4 + i] = _mm512_shuffle_i32x4(odd_top, odd_low, 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(odd_top, odd_low, 0xdd);
    }
    memcpy(r, t, sizeof t);
}

void amx_pack(uint16_t *to, const uint16_t *w, int64_t w_step, int64_t rows, int64_t k)
{
    __m512i r[TILE];

    for (int64_t first = 0; first < AMX_STEP; first += TILE)
        for (int64_t c = 0; c < k; c += 2 * TILE) {
            for (int64_t i = 0; i < TILE; i++)
                r[i] = first + i < rows ? _mm512_loadu_si512(w + (first + i) * w_step + c)
                                        : _mm512_setzero_si512();
            transpose_tile(r);
            for (int64_t i = 0; i < TILE; i++)
                _mm512_storeu_si512(to + ((c / 2 + i) * AMX_STEP + first) * 2, r[i]);
        }
}

void amx_product(float *y, const uint16_t *x, const uint16_t *w, int64_t rows, int64_t cols,
                 int64_t k)
{
    int64_t const across = cols / AMX_STEP;

    for (int64_t from = 0; from < k; from += K_CHUNK) {
        int64_t const some = k - from < K_CHUNK ? k - from : K_CHUNK;
        for (int64_t j = 0; j < across; j++)
            for (int64_t i = 0; i < rows / AMX_STEP; i++)
                multiply_block(y + (i * across + j) * AMX_STEP * AMX_STEP,
                               x + i * AMX_STEP * k + from, k * 2, w + (j * k + from) * AMX_STEP,
                               some, from > 0);
    }
}

/* Numbers c.. of two rows, as pairs. */
static inline __m512i pair_rows(const uint16_t *even, const uint16_t *odd)
{
    __m512i const low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i_u *)even));
    __m512i const high = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i_u *)odd));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

void amx_pack_values(uint16_t *to, const uint16_t *v, int64_t head_dim)
{
    __m512i r[TILE];

    for (int64_t key = 0; key < AMX_KEYS; key += 2 * TILE)
        for (int64_t c = 0; c < head_dim; c += TILE) {
            for (int64_t i = 0; i < TILE; i++) {
                const uint16_t *const even = v + (key + 2 * i) * head_dim + c;
                r[i] = pair_rows(even, even + head_dim);
            }
            transpose_tile(r);
            for (int64_t i = 0; i < TILE; i++)
                _mm512_storeu_si512(to + (c + i) * AMX_KEYS + key, r[i]);
        }
}

static const float log2_e = 0x1.715476p0f;

/* 2^x within 3e-6 relative, far below what a BF16 keeps. */
static inline __m512 exp2_of(__m512 x)
{
    __m512 const whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 const f = _mm512_sub_ps(x, whole);
    __m512 p = _mm512_set1_ps(0x1.3997d6p-7f);

    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.ca1440p-5f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.ec06dap-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.62e0dcp-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.ffffe8p-1f));
    return _mm512_scalef_ps(p, whole);
}

/* Two rows of probabilities as BF16 pairs. */
static inline __m512i bf16_pairs(__m512 even, __m512 odd)
{
    __m512i const half = _mm512_set1_epi32(0x8000);
    __m512i const low = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(even), half), 16);
    __m512i const high = _mm512_add_epi32(_mm512_castps_si512(odd), half);
    return _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi32((int)0xffff0000u)));
}

/* scores = scale * scores + bias, whose rows are queries where those of scores are keys. */
static void add_bias(const struct amx_chunk *c)
{
    __m512 const scale = _mm512_set1_ps(c->scale);
    __m512i r[TILE];

    for (int64_t first = 0; first < c->rows; first += TILE)
        for (int64_t key = 0; key < c->keys; key += TILE) {
            int64_t const left = c->keys - key;
            __mmask16 const there = (__mmask16)(left < TILE ? (1u << left) - 1 : 0xffffu);
            for (int64_t i = 0; i < TILE; i++) {
                const float *const row = c->bias + (first + i) * c->bias_step + key;
                r[i] = first + i < c->rows ? _mm512_maskz_loadu_epi32(there, row)
                                           : _mm512_setzero_si512();
            }
            transpose_tile(r);
            for (int64_t i = 0; i < TILE && i < left; i++) {
                float *const s = c->scores + (key + i) * AMX_QUERIES + first;
                __m512 const bias = _mm512_castsi512_ps(r[i]);
                _mm512_storeu_ps(s, _mm512_fmadd_ps(_mm512_loadu_ps(s), scale, bias));
            }
        }
}

/* Softmax of the 16 queries from lane `first` on; true if their largest score grew. */
static inline bool softmax_queries(const struct amx_chunk *c, const struct amx_found *f, int first,
                                   __m512 *shrink)
{
    const float *const s = c->scores + first;
    uint32_t *const p = (uint32_t *)c->p + first;
    __m512 const scale = _mm512_set1_ps((c->bias ? 1.0f : c->scale) * log2_e);
    __m512 const old = _mm512_loadu_ps(f->max + first);
    __m512 const all = _mm512_set1_ps(-INFINITY); /* a bias may leave out every key so far */
    __m512 m = old, sum = _mm512_setzero_ps();
    int64_t i;

    for (i = 0; i < c->keys; i++)
        m = _mm512_max_ps(_mm512_mul_ps(_mm512_loadu_ps(s + i * AMX_QUERIES), scale), m);
    _mm512_storeu_ps(f->max + first, m);
    __mmask16 const grew = _mm512_cmp_ps_mask(old, m, _CMP_NEQ_UQ);
    m = _mm512_mask_mov_ps(m, _mm512_cmp_ps_mask(m, all, _CMP_EQ_OQ), _mm512_setzero_ps());
    for (i = 0; i < c->keys / 2 * 2; i += 2) {
        const float *const at = s + i * AMX_QUERIES;
        __m512 const even = exp2_of(_mm512_fmsub_ps(_mm512_loadu_ps(at), scale, m));
        __m512 const odd = exp2_of(_mm512_fmsub_ps(_mm512_loadu_ps(at + AMX_QUERIES), scale, m));
        sum = _mm512_add_ps(sum, _mm512_add_ps(even, odd));
        _mm512_storeu_si512(p + i / 2 * AMX_QUERIES, bf16_pairs(even, odd));
    }
    if (i < c->keys) {
        __m512 const last =
            exp2_of(_mm512_fmsub_ps(_mm512_loadu_ps(s + i * AMX_QUERIES), scale, m));
        sum = _mm512_add_ps(sum, last);
        _mm512_storeu_si512(p + i / 2 * AMX_QUERIES, bf16_pairs(last, _mm512_setzero_ps()));
        i += 2;
    }
    for (; i < AMX_KEYS && i % AMX_STEP; i += 2)
        _mm512_storeu_si512(p + i / 2 * AMX_QUERIES, _mm512_setzero_si512());

    *shrink = exp2_of(_mm512_sub_ps(old, m));
    _mm512_storeu_ps(f->sum + first,
                     _mm512_fmadd_ps(_mm512_loadu_ps(f->sum + first), *shrink, sum));
    return grew != 0;
}

void amx_attend(const struct amx_chunk *c, const struct amx_found *f)
{
    int64_t const hd = c->head_dim, keys = (c->keys + AMX_STEP - 1) / AMX_STEP * AMX_STEP;
    __m512 shrink[2];

    for (int64_t i = 0; i < keys; i += AMX_STEP)
        multiply_block(c->scores + i * AMX_QUERIES, c->k + i * hd, hd * 2, c->q, hd, false);

    if (c->bias) add_bias(c);
    bool const left = softmax_queries(c, f, 0, &shrink[0]),
               right = softmax_queries(c, f, TILE, &shrink[1]);
    for (int64_t i = 0; (left || right) && i < hd * AMX_QUERIES; i += TILE) {
        __m512 const v = _mm512_loadu_ps(f->values + i);
        _mm512_storeu_ps(f->values + i, _mm512_mul_ps(v, shrink[i / TILE % 2]));
    }

    for (int64_t i = 0; i < hd; i += AMX_STEP)
        multiply_block(f->values + i * AMX_QUERIES, c->v + i * AMX_KEYS, AMX_KEYS * 2, c->p, keys,
                       true);
}

/* Sixteen numbers of row r. */
static inline void store_row(const struct amx_out *o, int64_t r, int64_t c, __m512 v)
{
    int64_t const at = r * o->step + c;

    if (o->wide) {
        _mm512_storeu_ps((float *)o->at + at, v);
        return;
    }
    __m256bh const h = _mm512_cvtneps_pbh(v);
    memcpy((uint16_t *)o->at + at, &h, sizeof h);
}

void amx_finish(const struct amx_out *o, const struct amx_found *f)
{
    __m512i r[TILE];

    for (int64_t first = 0; first < o->rows; first += TILE) {
        __m512 const inv = _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_loadu_ps(f->sum + first));
        for (int64_t c = 0; c < o->head_dim; c += TILE) {
            for (int64_t i = 0; i < TILE; i++) {
                __m512 const v = _mm512_loadu_ps(f->values + (c + i) * AMX_QUERIES + first);
                r[i] = _mm512_castps_si512(_mm512_mul_ps(v, inv));
            }
            transpose_tile(r);
            for (int64_t i = 0; i < TILE && first + i < o->rows; i++)
                store_row(o, first + i, c, _mm512_castsi512_ps(r[i]));
        }
    }
}
