/* contact_sheet.c - cells thinned out by halves, and a PNG of them. */
#include "base/strbuf.h"
#include "pipeline/output/output_internal.h"

#include <libavcodec/avcodec.h>
#include <stdlib.h>
#include <string.h>

enum { BACKGROUND = 24 };

struct contact {
    char *path;
    int width, columns, reduce; /* reduce: pixels per cell pixel, each way */
    int cell_w, cell_h;
    size_t cell_bytes;
    uint8_t *cells; /* [CONTACT_CELLS, cell_h, cell_w, 3] */
    int count;
    int64_t seen, stride; /* cell k is candidate k * stride */
};

status contact_open(struct contact **out, const struct contact_config *c)
{
    const char *const dot = strrchr(c->path, '.');

    *out = NULL;
    if (!dot || strcmp(dot, ".png"))
        return fail(ST_ARG, "%s: a contact sheet's name must end in .png", c->path);
    if (c->columns < 1 || c->columns > CONTACT_COLUMNS)
        return fail(ST_ARG, "%s: %d columns; allowed: 1..%d", c->path, c->columns, CONTACT_COLUMNS);
    struct contact *s = calloc(1, sizeof *s);
    if (s) {
        s->width = c->width;
        s->columns = c->columns;
        s->stride = 1;
        s->reduce = (c->width + CONTACT_WIDTH - 1) / CONTACT_WIDTH;
        if (s->reduce > c->height) s->reduce = c->height;
        s->cell_w = c->width / s->reduce;
        s->cell_h = c->height / s->reduce;
        s->cell_bytes = (size_t)s->cell_w * (size_t)s->cell_h * 3;
        s->path = str_format("%s", c->path);
        s->cells = malloc(s->cell_bytes * CONTACT_CELLS);
    }
    if (s && (s->cell_h < 1 || !s->path || !s->cells)) contact_close(&s);
    *out = s;
    return s ? ST_OK
             : fail(ST_NOMEM, "%s: no memory for a contact sheet of pictures %dx%d", c->path,
                    c->width, c->height);
}

void contact_close(struct contact **s)
{
    if (!*s) return;
    free((*s)->path);
    free((*s)->cells);
    free(*s);
    *s = NULL;
}

static void reduce_into(const struct contact *s, uint8_t *cell, const uint8_t *rgb8)
{
    int const k = s->reduce, area = k * k;

    for (int y = 0; y < s->cell_h; y++)
        for (int x = 0; x < s->cell_w; x++)
            for (int c = 0; c < 3; c++) {
                const uint8_t *const from = rgb8 + ((ptrdiff_t)y * k * s->width + x * k) * 3 + c;
                int sum = area / 2;
                for (int dy = 0; dy < k; dy++)
                    for (int dx = 0; dx < k; dx++) sum += from[((ptrdiff_t)dy * s->width + dx) * 3];
                *cell++ = (uint8_t)(sum / area);
            }
}

static void thin_out(struct contact *s)
{
    for (int i = 1; 2 * i < s->count; i++)
        memcpy(s->cells + (size_t)i * s->cell_bytes, s->cells + (size_t)(2 * i) * s->cell_bytes,
               s->cell_bytes);
    s->count = (s->count + 1) / 2;
    s->stride *= 2;
}

void contact_add(struct contact *s, const uint8_t *rgb8)
{
    if (s->seen++ % s->stride) return;
    if (s->count == CONTACT_CELLS) thin_out(s);
    reduce_into(s, s->cells + (size_t)s->count++ * s->cell_bytes, rgb8);
}

/* ---- going on ----------------------------------------------------------------------------- */

/* In front of the cells. */
struct contact_head {
    int64_t count, seen, stride;
};

void contact_save(const struct contact *s, struct strbuf *to)
{
    struct contact_head const head = { s->count, s->seen, s->stride };

    strbuf_add(to, (const char *)&head, sizeof head);
    strbuf_add(to, (const char *)s->cells, (size_t)s->count * s->cell_bytes);
}

status contact_load(struct contact *s, const void *bytes, size_t len)
{
    struct contact_head head;

    if (len < sizeof head) return fail(ST_FORMAT, "%s: the state of a sheet is truncated", s->path);
    memcpy(&head, bytes, sizeof head);
    if (head.count < 0 || head.count > CONTACT_CELLS || head.seen < head.count || head.stride < 1 ||
        len != sizeof head + (size_t)head.count * s->cell_bytes)
        return fail(ST_FORMAT, "%s: the state of another sheet: %lld cells in %zu bytes", s->path,
                    (long long)head.count, len);
    memcpy(s->cells, (const char *)bytes + sizeof head, len - sizeof head);
    s->count = (int)head.count;
    s->seen = head.seen;
    s->stride = head.stride;
    return ST_OK;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* Lay the cells out on a background. */
static void fill_sheet(const struct contact *s, AVFrame *f, int columns)
{
    for (int y = 0; y < f->height; y++)
        memset(f->data[0] + (ptrdiff_t)y * f->linesize[0], BACKGROUND, (size_t)f->width * 3);
    for (int i = 0; i < s->count; i++) {
        int const left = CONTACT_GAP + i % columns * (s->cell_w + CONTACT_GAP);
        int const top = CONTACT_GAP + i / columns * (s->cell_h + CONTACT_GAP);
        for (int y = 0; y < s->cell_h; y++)
            memcpy(f->data[0] + (ptrdiff_t)(top + y) * f->linesize[0] + (ptrdiff_t)left * 3,
                   s->cells + (size_t)i * s->cell_bytes + (size_t)y * (size_t)s->cell_w * 3,
                   (size_t)s->cell_w * 3);
    }
}

static status encode_png(const struct contact *s, AVFrame *f, AVPacket *packet)
{
    const AVCodec *const png = avcodec_find_encoder(AV_CODEC_ID_PNG);
    AVCodecContext *ctx = png ? avcodec_alloc_context3(png) : NULL;
    int r = ctx ? 0 : AVERROR_ENCODER_NOT_FOUND;

    if (ctx) {
        ctx->width = f->width;
        ctx->height = f->height;
        ctx->pix_fmt = AV_PIX_FMT_RGB24;
        ctx->time_base = (AVRational){ 1, 1 };
        ctx->thread_count = 1;
        r = avcodec_open2(ctx, png, NULL);
    }
    if (r >= 0) r = avcodec_send_frame(ctx, f);
    if (r >= 0) r = avcodec_send_frame(ctx, NULL);
    if (r >= 0) r = avcodec_receive_packet(ctx, packet);
    avcodec_free_context(&ctx);
    return r < 0 ? fail(ST_DEVICE, "%s: libavcodec's png encoder: %s", s->path, av_err2str(r))
                 : ST_OK;
}

status contact_commit(struct contact *s, struct written *out)
{
    int const columns = s->count < s->columns ? s->count : s->columns;
    status st = ST_OK;

    if (!s->count) return fail(ST_ARG, "%s: no picture was added", s->path);
    int const rows = (s->count + columns - 1) / columns;
    AVFrame *f = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    if (f) {
        f->format = AV_PIX_FMT_RGB24;
        f->width = CONTACT_GAP + columns * (s->cell_w + CONTACT_GAP);
        f->height = CONTACT_GAP + rows * (s->cell_h + CONTACT_GAP);
    }
    if (!f || !packet || av_frame_get_buffer(f, 0) < 0)
        FAIL_OUT(ST_NOMEM, "%s: no memory for a sheet of %d x %d pictures", s->path, columns, rows);
    fill_sheet(s, f, columns);
    TRY_OUT(encode_png(s, f, packet));
    TRY_OUT(write_checked(s->path, packet->data, (size_t)packet->size, out));
out:
    av_frame_free(&f);
    av_packet_free(&packet);
    return st;
}
