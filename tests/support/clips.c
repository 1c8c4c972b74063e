/* clips.c - pictures from a formula, so that any frame can be made again to compare with, and a
 * decoder by libav's calls alone, which shares no code with what wrote the file. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "tests/support/as_bytes.h"
#include "tests/support/clips.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <math.h>
#include <stdio.h>

void clips_picture(float *rgb, int width, int height, int64_t i)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            float *const p = rgb + 3 * (y * width + x);
            double const t = 0.15 * (double)i;
            p[0] = (float)(0.8 * sin(0.11 * x + t));
            p[1] = (float)(0.8 * cos(0.07 * y - t));
            p[2] = (float)(0.8 * sin(0.05 * (x + y) + 2 * t));
        }
}

status clips_push(struct video *v, int width, int height, int64_t i)
{
    enum pix const pix = video_facts(v)->choice.pix;
    struct pixels_layout const layout = pixels_layout(width, height, 1u << pix);
    const int64_t *const plane = layout.plane[pix];
    float *const rgb = malloc(sizeof(float) * 3 * (size_t)(width * height));

    assert_non_null(rgb);
    clips_picture(rgb, width, height, i);
    struct pictures one = as_bytes(rgb, 1, &layout);
    status const st = video_push(
        v, (const unsigned char *[]){ one.at + plane[0], one.at + plane[1], one.at + plane[2] });
    free_bytes(&one);
    free(rgb);
    return st;
}

char *clips_folder(void)
{
    char *const dir = str_format("/tmp/rollmill-test.XXXXXX");

    assert_non_null(dir);
    assert_non_null(mkdtemp(dir));
    return dir;
}

void clips_folder_drop(char *dir)
{
    assert_int_equal(dir_remove(dir), ST_OK);
    free(dir);
}

struct reading {
    AVCodecContext *dec;
    AVFrame *frame;
    unsigned char *planes;
    clips_see see;
    void *arg;
    struct clips_file *out;
};

static void drain(struct reading *r)
{
    while (avcodec_receive_frame(r->dec, r->frame) == 0) {
        AVFrame *const f = r->frame;
        int const len = av_image_get_buffer_size(f->format, f->width, f->height, 1);
        r->planes = realloc(r->planes, (size_t)len);
        assert_non_null(r->planes);
        assert_int_equal(av_image_copy_to_buffer(r->planes, len, (const uint8_t *const *)f->data,
                                                 f->linesize, f->format, f->width, f->height, 1),
                         len);
        bool const key = f->pict_type == AV_PICTURE_TYPE_I;
        if (r->see) r->see(r->arg, r->out->frames, f->pts, key, r->planes, (size_t)len);
        r->out->frames++;
        r->out->srgb = f->color_trc == AVCOL_TRC_IEC61966_2_1;
        r->out->tagged = f->color_primaries == AVCOL_PRI_BT709 &&
                         (r->out->srgb || f->color_trc == AVCOL_TRC_BT709) &&
                         f->colorspace == AVCOL_SPC_BT709 && f->color_range == AVCOL_RANGE_MPEG;
        snprintf(r->out->pix, sizeof r->out->pix, "%s", av_get_pix_fmt_name(f->format));
    }
}

void clips_decode(struct clips_file *out, const char *path, clips_see see, void *arg)
{
    struct reading r = { .see = see, .arg = arg, .out = out, .frame = av_frame_alloc() };
    AVPacket *const packet = av_packet_alloc();
    AVFormatContext *in = NULL;

    *out = (struct clips_file){ 0 };
    assert_int_equal(avformat_open_input(&in, path, NULL, NULL), 0);
    assert_true(avformat_find_stream_info(in, NULL) >= 0);
    assert_int_equal(in->nb_streams, 1);
    AVStream *const s = in->streams[0];
    const AVDictionaryEntry *comment = av_dict_get(in->metadata, "comment", NULL, 0);
    snprintf(out->comment, sizeof out->comment, "%.60s", comment ? comment->value : "");
    out->tb_num = s->time_base.num;
    out->tb_den = s->time_base.den;
    r.dec = avcodec_alloc_context3(avcodec_find_decoder(s->codecpar->codec_id));
    assert_int_equal(avcodec_parameters_to_context(r.dec, s->codecpar), 0);
    assert_int_equal(avcodec_open2(r.dec, NULL, NULL), 0);
    while (av_read_frame(in, packet) >= 0) {
        assert_int_equal(avcodec_send_packet(r.dec, packet), 0);
        av_packet_unref(packet);
        drain(&r);
    }
    assert_int_equal(avcodec_send_packet(r.dec, NULL), 0);
    drain(&r);
    free(r.planes);
    av_packet_free((AVPacket **)&(AVPacket *){ packet });
    av_frame_free(&r.frame);
    avcodec_free_context(&r.dec);
    avformat_close_input(&in);
}
