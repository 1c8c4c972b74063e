/* amx.c - compiled for processors that have AMX; called only there. */
#define _GNU_SOURCE
#include "kernels/amx.h"

#include <immintrin.h>
#include <string.h>

enum { TILE = 16, ROW_BYTES = AMX_QUERIES * 4 }; /* a row of 32 sums, or of 32 pairs */

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
static inline __attribute__((always_inline)) void product(float *y, const void *x, int64_t x_bytes,
                                                          const void *w, int64_t k, bool add)
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

void amx_pack_queries(uint16_t *to, const uint16_t *q, int64_t q_step, int64_t rows,
                      int64_t head_dim)
{
    memset(to, 0, (size_t)(head_dim * AMX_QUERIES) * sizeof *to);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < head_dim; i += 2)
            memcpy(to + (i / 2 * AMX_QUERIES + r) * 2, q + r * q_step + i, 2 * sizeof *to);
}

void amx_pack_values(uint16_t *to, const uint16_t *v, int64_t head_dim)
{
    for (int64_t i = 0; i < AMX_KEYS; i += 2, v += 2 * head_dim)
        for (int64_t c = 0; c < head_dim; c++) {
            uint32_t const pair = v[c] | (uint32_t)v[head_dim + c] << 16;
            memcpy(to + c * AMX_KEYS + i, &pair, sizeof pair);
        }
}

/* 2^x within 3e-6 relative, far below what a BF16 keeps. */
static inline __m512 power(__m512 x)
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
static inline __m512i pairs(__m512 even, __m512 odd)
{
    __m512i const half = _mm512_set1_epi32(0x8000);
    __m512i const low = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(even), half), 16);
    __m512i const high = _mm512_add_epi32(_mm512_castps_si512(odd), half);
    return _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi32((int)0xffff0000u)));
}

/* Softmax of the 16 queries from lane `first` on; true if their largest score grew. */
static inline bool softmax(const struct amx_chunk *c, const struct amx_found *f, int first,
                           __m512 *shrink)
{
    const float *const s = c->scores + first;
    uint32_t *const p = (uint32_t *)c->p + first;
    __m512 const scale = _mm512_set1_ps(c->scale * 0x1.715476p0f);
    __m512 const old = _mm512_loadu_ps(f->max + first);
    __m512 m = old, sum = _mm512_setzero_ps();
    int64_t i;

    for (i = 0; i < c->keys; i++)
        m = _mm512_max_ps(_mm512_mul_ps(_mm512_loadu_ps(s + i * AMX_QUERIES), scale), m);
    for (i = 0; i < c->keys / 2 * 2; i += 2) {
        const float *const at = s + i * AMX_QUERIES;
        __m512 const even = power(_mm512_fmsub_ps(_mm512_loadu_ps(at), scale, m));
        __m512 const odd = power(_mm512_fmsub_ps(_mm512_loadu_ps(at + AMX_QUERIES), scale, m));
        sum = _mm512_add_ps(sum, _mm512_add_ps(even, odd));
        _mm512_storeu_si512(p + i / 2 * AMX_QUERIES, pairs(even, odd));
    }
    if (i < c->keys) {
        __m512 const last = power(_mm512_fmsub_ps(_mm512_loadu_ps(s + i * AMX_QUERIES), scale, m));
        sum = _mm512_add_ps(sum, last);
        _mm512_storeu_si512(p + i / 2 * AMX_QUERIES, pairs(last, _mm512_setzero_ps()));
        i += 2;
    }
    for (; i < AMX_KEYS && i % AMX_STEP; i += 2)
        _mm512_storeu_si512(p + i / 2 * AMX_QUERIES, _mm512_setzero_si512());

    *shrink = power(_mm512_sub_ps(old, m));
    _mm512_storeu_ps(f->max + first, m);
    _mm512_storeu_ps(f->sum + first,
                     _mm512_fmadd_ps(_mm512_loadu_ps(f->sum + first), *shrink, sum));
    return _mm512_cmp_ps_mask(old, m, _CMP_NEQ_UQ) != 0;
}

void amx_attend(const struct amx_chunk *c, const struct amx_found *f)
{
    int64_t const hd = c->head_dim, keys = (c->keys + AMX_STEP - 1) / AMX_STEP * AMX_STEP;
    __m512 shrink[2];

    for (int64_t i = 0; i < keys; i += AMX_STEP)
        product(c->scores + i * AMX_QUERIES, c->k + i * hd, hd * 2, c->q, hd, false);

    bool const left = softmax(c, f, 0, &shrink[0]), right = softmax(c, f, TILE, &shrink[1]);
    for (int64_t i = 0; (left || right) && i < hd * AMX_QUERIES; i += TILE) {
        __m512 const v = _mm512_loadu_ps(f->values + i);
        _mm512_storeu_ps(f->values + i, _mm512_mul_ps(v, shrink[i / TILE % 2]));
    }

    for (int64_t i = 0; i < hd; i += AMX_STEP)
        product(f->values + i * AMX_QUERIES, c->v + i * AMX_KEYS, AMX_KEYS * 2, c->p, keys, true);
}

void amx_finish(uint16_t *out, int64_t out_step, int64_t rows, int64_t head_dim,
                const struct amx_found *f)
{
    __m512i const lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i const column = _mm512_mullo_epi32(lane, _mm512_set1_epi32(AMX_QUERIES));

    for (int64_t r = 0; r < rows; r++) {
        __m512 const inv = _mm512_set1_ps(1.0f / f->sum[r]);
        for (int64_t i = 0; i < head_dim; i += TILE) {
            __m512 const v = _mm512_i32gather_ps(column, f->values + i * AMX_QUERIES + r, 4);
            __m256bh const h = _mm512_cvtneps_pbh(_mm512_mul_ps(v, inv));
            memcpy(out + r * out_step + i, &h, sizeof h);
        }
    }
}
