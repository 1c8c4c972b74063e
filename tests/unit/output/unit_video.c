/* unit_video.c - every codec, pix and container; exact times; lossless is lossless; errors. */
#include "tests/support/unit.h"

#include "base/choice.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/output/av/video.h"
#include "tests/support/clips.h"

#include <libavutil/log.h>
#include <libavutil/mathematics.h>
#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

enum { W = 64, H = 64, FRAMES = 20 };

static struct video_config config(const char *path, const char *codec)
{
    return (struct video_config){ .path = path,
                                  .codec = codec,
                                  .width = W,
                                  .height = H,
                                  .fps_num = 16,
                                  .fps_den = 1,
                                  .comment = "task 0123456789abcdef" };
}

/* Write `frames` pictures; what the video says of itself at the end. */
static struct video_facts write_video(const struct video_config *c, int frames)
{
    struct video *v;

    ok(video_open(&v, c));
    for (int i = 0; i < frames; i++) ok(clips_push(v, W, H, i));
    ok(video_commit(v));
    struct video_facts const facts = *video_facts(v);
    video_close(&v);
    assert_null(v);
    return facts;
}

struct seen {
    const struct video_config *c;
    enum pix pix;
    bool finer; /* the decoder gives 12 bits for the 10 sent */
    int tb_num, tb_den;
    double worst; /* mean |difference| of a picture, in 8-bit steps */
    struct digest all;
    int64_t since_key, longest;
};

static void see(void *arg, int64_t i, int64_t pts, bool key, const unsigned char *planes,
                size_t len)
{
    struct seen *const s = arg;
    const struct pix_info *const p = pix_info(s->pix);
    int const bytes = p->bits > 8 ? 2 : 1, cw = W / p->across, ch = H / p->down;
    float rgb[3 * W * H], scratch[PIXELS_SCRATCH * W];
    static unsigned char want[W * H * 6];
    double sum = 0;

    assert_int_equal(len, bytes * (W * H + 2 * cw * ch));
    clips_picture(rgb, W, H, i);
    unsigned char *const cb = want + W * H * bytes, *const cr = cb + cw * ch * bytes;
    pixels_to_yuv(&(struct pixels_yuv){ .rgb = rgb,
                                        .width = W,
                                        .height = H,
                                        .pix = s->pix,
                                        .plane = { want, cb, cr },
                                        .stride = { W * bytes, cw * bytes, cw * bytes },
                                        .scratch = scratch });
    for (size_t k = 0; k < len; k += (size_t)bytes) {
        int const a = bytes == 1 ? planes[k] : planes[k] | planes[k + 1] << 8;
        int const b = bytes == 1 ? want[k] : want[k] | want[k + 1] << 8;
        sum += fabs(bytes == 1 ? a - b : (a / (s->finer ? 4.0 : 1.0) - b) / 4.0);
    }
    s->worst = fmax(s->worst, sum / ((double)len / bytes));
    assert_int_equal(digest_add(&s->all, planes, len), ST_OK);
    s->since_key = key ? 1 : s->since_key + 1;
    s->longest = s->since_key > s->longest ? s->since_key : s->longest;
    assert_int_equal(pts, av_rescale_q(i, (AVRational){ s->c->fps_den, s->c->fps_num },
                                       (AVRational){ s->tb_num, s->tb_den }));
}

/* Decode what was written and hold it against what was sent. */
static void check_video(const struct video_config *c, const struct video_facts *f, int frames)
{
    struct seen s = { .c = c,
                      .pix = f->choice.pix,
                      .finer = !strcmp(c->codec, "prores") && f->choice.pix == PIX_YUV444P10 };
    struct clips_file file;
    char hex[DIGEST_HEX], want_pix[24];

    clips_decode(&file, c->path, NULL, NULL);
    s.tb_num = file.tb_num;
    s.tb_den = file.tb_den;
    assert_int_equal(digest_open(&s.all), ST_OK);
    clips_decode(&file, c->path, see, &s);
    assert_int_equal(digest_end(&s.all, hex), ST_OK);
    digest_close(&s.all);
    snprintf(want_pix, sizeof want_pix, "%s%s", pix_info(s.pix)->name,
             pix_info(s.pix)->bits > 8 ? "le" : "");
    if (s.finer) snprintf(want_pix, sizeof want_pix, "yuv444p12le");
    assert_string_equal(file.pix, want_pix);
    assert_int_equal(file.frames, frames);
    assert_true(file.tagged);
    assert_int_equal(file.srgb, f->choice.transfer == CODEC_SRGB);
    assert_string_equal(file.comment, c->comment);
    assert_true(s.longest <= f->choice.gop);
    assert_int_equal(f->frames, frames);
    if (strcmp(c->codec, "ffv1")) {
        assert_string_not_equal(hex, f->planes_sha256);
        assert_true(s.worst <= 3.0);
    } else {
        assert_string_equal(hex, f->planes_sha256);
        assert_true(s.worst <= 0);
    }
    ok(video_verify(c->path, f, c->fps_num, c->fps_den));
}

static void every_combination(void **state)
{
    char *const dir = clips_folder();
    char pix[32], ending[32];
    int files = 0;

    (void)state;
    for (int k = 0; k < codec_count(); k++) {
        const struct codec *const codec = codec_at(k);
        for (int p = 0; choice_at(pix, sizeof pix, codec->by[CODEC_CPU].pixes, p); p++)
            for (int e = 0; choice_at(ending, sizeof ending, codec->containers, e); e++, files++) {
                char *const path = str_format("%s/%s-%s.%s", dir, codec->name, pix, ending);
                struct video_config c = config(path, codec->name);
                c.pix = pix;
                struct video_facts const f = write_video(&c, FRAMES);
                check_video(&c, &f, FRAMES);
                free(path);
            }
    }
    assert_int_equal(files, 18 + 6 + 4 + 4);
    clips_folder_drop(dir);
}

/* Lines of ffprobe's key=value output, sorted out by key; "" if absent. */
static void probe(const char *path, const char *entries, char out[4096])
{
    char *const line = str_format("ffprobe -v error -count_packets -of default=nw=1 "
                                  "-show_entries %s %s",
                                  entries, path);
    FILE *const p = popen(line, "r");

    assert_non_null(p);
    size_t const n = fread(out, 1, 4095, p);
    out[n] = '\0';
    assert_int_equal(pclose(p), 0);
    free(line);
}

static void has_line(const char *text, const char *key, const char *value)
{
    char *const want = str_format("%s=%s\n", key, value);

    if (!strstr(text, want)) print_error("no line %s in:\n%s", want, text);
    assert_non_null(strstr(text, want));
    free(want);
}

/* The names of an MP4's outer boxes, in file order: "ftyp moov mdat ". */
static void boxes(const char *path, char out[128])
{
    struct file_map m;

    out[0] = '\0';
    ok(file_map(&m, path));
    for (size_t at = 0; at + 8 <= m.size;) {
        const unsigned char *const b = m.data + at;
        size_t const len = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
        snprintf(out + strlen(out), 128 - strlen(out), "%.4s ", (const char *)b + 4);
        assert_true(len >= 8 && len <= m.size - at);
        at += len;
    }
    file_unmap(&m);
}

static void players_see_it(void **state)
{
    static const int fps[][2] = { { 16, 1 }, { 24, 1 }, { 24000, 1001 }, { 30000, 1001 } };
    static const char *const endings[] = { "mp4", "mov" };
    char *const dir = clips_folder();
    char text[4096], value[64];

    (void)state;
    for (int i = 0; i < 2 * COUNT_OF(fps); i++) {
        int const num = fps[i / 2][0], den = fps[i / 2][1], frames = 61;
        char *const path = str_format("%s/clip%d.%s", dir, i, endings[i % 2]);
        struct video_config c = config(path, "h264");
        c.fps_num = num;
        c.fps_den = den;
        struct video_facts const f = write_video(&c, frames);
        check_video(&c, &f, frames);
        probe(path, "stream:format_tags", text);
        has_line(text, "codec_name", "h264");
        has_line(text, "width", "64");
        has_line(text, "height", "64");
        has_line(text, "sample_aspect_ratio", "1:1");
        has_line(text, "pix_fmt", "yuv420p");
        has_line(text, "color_range", "tv");
        has_line(text, "color_space", "bt709");
        has_line(text, "color_transfer", "bt709");
        has_line(text, "color_primaries", "bt709");
        has_line(text, "chroma_location", "left");
        has_line(text, "nb_frames", "61");
        has_line(text, "nb_read_packets", "61");
        has_line(text, "start_pts", "0");
        has_line(text, "TAG:comment", "task 0123456789abcdef");
        snprintf(value, sizeof value, "%d/%d", num, den);
        has_line(text, "r_frame_rate", value);
        has_line(text, "avg_frame_rate", value);
        snprintf(value, sizeof value, "%.6f", (double)frames * den / num);
        has_line(text, "duration", value);
        boxes(path, text);
        assert_non_null(strstr(text, "moov "));
        assert_true(strstr(text, "moov ") < strstr(text, "mdat "));
        free(path);
    }
    clips_folder_drop(dir);
}

/* A video so short that its index is longer than its pictures, in every container. */
static void shortest_videos(void **state)
{
    char *const dir = clips_folder();
    char ending[32];

    (void)state;
    for (int k = 0; k < codec_count(); k++)
        for (int e = 0; choice_at(ending, sizeof ending, codec_at(k)->containers, e); e++)
            for (int frames = 1; frames < 4; frames++) {
                char *const path = str_format("%s/%s%d.%s", dir, codec_at(k)->name, frames, ending);
                struct video_config const c = config(path, codec_at(k)->name);
                struct video_facts const f = write_video(&c, frames);
                check_video(&c, &f, frames);
                free(path);
            }
    clips_folder_drop(dir);
}

/* The same planes; only what players are told differs, in every container. */
static void transfer_is_told(void **state)
{
    char *const dir = clips_folder();
    char ending[32], text[4096];

    (void)state;
    for (int k = 0; k < codec_count(); k++)
        for (int e = 0; choice_at(ending, sizeof ending, codec_at(k)->containers, e); e++) {
            char *const path = str_format("%s/%s.%s", dir, codec_at(k)->name, ending);
            struct video_config c = config(path, codec_at(k)->name);
            struct video_facts const usual = write_video(&c, FRAMES);
            ok(dir_remove(path));
            c.transfer = CODEC_SRGB;
            struct video_facts const f = write_video(&c, FRAMES);
            check_video(&c, &f, FRAMES);
            assert_string_equal(f.planes_sha256, usual.planes_sha256);
            probe(path, "stream", text);
            has_line(text, "color_transfer", codec_transfer_name(CODEC_SRGB));
            has_line(text, "color_primaries", "bt709");
            free(path);
        }
    clips_folder_drop(dir);
}

/* Pictures from one key frame to the next, in a file that its reader finds whole. */
static void key_frames_as_asked(void **state)
{
    static const int gops[] = { 1, 2, 5, 16 };
    char *const dir = clips_folder();

    (void)state;
    for (int k = 0; k < codec_count(); k++) {
        char *const path = str_format("%s/%s.mkv", dir, codec_at(k)->name);
        struct video_config c = config(path, codec_at(k)->name);
        for (int i = 0; i < COUNT_OF(gops); i++) {
            if (!codec_at(k)->gop || gops[i] < codec_at(k)->gop) continue;
            c.gop = gops[i];
            struct video_facts const f = write_video(&c, FRAMES);
            assert_int_equal(f.choice.gop, gops[i]);
            assert_true(f.keyframes >= (FRAMES + gops[i] - 1) / gops[i]);
            check_video(&c, &f, FRAMES);
            ok(dir_remove(path));
        }
        c.gop = codec_at(k)->gop ? CODEC_GOP_MAX + 1 : 16;
        struct codec_choice choice;
        assert_int_equal(codec_choose(&choice, &c), ST_ARG);
        free(path);
    }
    clips_folder_drop(dir);
}

/* Whatever stood in the memory before. */
static void bytes_repeat(void **state)
{
    static const char *const names[] = { "a.mp4", "b.mkv", "c.mov", "d.mp4" };
    char *const dir = clips_folder();
    char hex[2][DIGEST_HEX];

    (void)state;
    for (int k = 0; k < codec_count(); k++) {
        char *const path = path_join(dir, names[k]);
        struct video_config c = config(path, codec_at(k)->name);
        c.threads = 2;
        for (int i = 0; i < 2; i++) {
            (void)mallopt(M_PERTURB, 1 + 84 * i); /* a sanitizer takes no such wish */
            struct video_facts const f = write_video(&c, FRAMES);
            (void)mallopt(M_PERTURB, 0);
            ok(digest_file(path, hex[i]));
            assert_string_equal(f.sha256, hex[i]);
            ok(dir_remove(path)); /* no file is written over */
        }
        assert_string_equal(hex[0], hex[1]);
        free(path);
    }
    clips_folder_drop(dir);
}

static void flip_a_bit(const char *path)
{
    char *bytes;
    size_t len;

    ok(file_read(path, 1 << 20, &bytes, &len));
    bytes[len / 2] ^= 4;
    ok(file_write(path, bytes, len));
    free(bytes);
}

enum { SEAL = 7 };

/* Pictures from .. to-1, with a seal behind every SEAL-th. */
static void push_segments(struct video *v, int from, int to, struct video_state *state)
{
    for (int i = from; i < to; i++) {
        ok(clips_push(v, W, H, i));
        if ((i + 1) % SEAL == 0) ok(video_seal(v, state));
    }
}

/* The same file, whether all of it was made in one go or others went on behind a seal, whatever
 * more the first had encoded by then. */
static void segments_join(void **state)
{
    static const char *const names[] = { "a.mp4", "b.mkv", "c.mov", "d.mp4" };
    char *const dir = clips_folder();
    struct video_state at, unused;
    char want[DIGEST_HEX], hex[DIGEST_HEX];

    (void)state;
    for (int k = 0; k < codec_count(); k++) {
        char *const path = path_join(dir, names[k]);
        char *const old = path_join(dir, "old");
        struct video_config c = config(path, codec_at(k)->name);
        struct video *v;

        ok(video_open(&v, &c));
        push_segments(v, 0, FRAMES, &unused);
        ok(video_commit(v));
        struct video_facts const whole = *video_facts(v);
        check_video(&c, &whole, FRAMES);
        video_close(&v);
        ok(digest_file(path, want));
        ok(dir_remove(path));

        for (int stop = 2 * SEAL; stop < 2 * SEAL + 4; stop += 3) {
            c.packets = old; /* left as they are when it is killed */
            ok(video_open(&v, &c));
            push_segments(v, 0, stop, &at);
            video_close(&v);
            c.packets = NULL;
            ok(video_open(&v, &c));
            ok(video_resume(v, &at, old));
            push_segments(v, 2 * SEAL, FRAMES, &unused);
            ok(video_commit(v));
            assert_memory_equal(video_facts(v)->planes_sha256, whole.planes_sha256, DIGEST_HEX);
            assert_int_equal(video_facts(v)->keyframes, whole.keyframes);
            video_close(&v);
            ok(digest_file(path, hex));
            assert_string_equal(hex, want);
            ok(dir_remove(path));
        }
        free(path);
        free(old);
    }
    clips_folder_drop(dir);
}

/* What is damaged, or of another encoder, is not gone on with. */
static void resume_refuses(void **state)
{
    char *const dir = clips_folder();
    char *const path = path_join(dir, "a.mp4"), *const old = path_join(dir, "old");
    struct video_config c = config(path, "h264");
    struct video_state at, bad;
    struct video *v;

    (void)state;
    c.packets = old;
    ok(video_open(&v, &c));
    push_segments(v, 0, SEAL, &at);
    video_close(&v);
    c.packets = NULL;

    ok(video_open(&v, &c));
    bad = at;
    bad.frames = -1;
    assert_int_equal(video_resume(v, &bad, old), ST_FORMAT);
    bad = at;
    memset(bad.planes, 0xff, sizeof bad.planes);
    assert_int_equal(video_resume(v, &bad, old), ST_FORMAT);
    bad = at;
    bad.bytes++;
    assert_int_equal(video_resume(v, &bad, old), ST_FORMAT);
    video_close(&v);
    c.pix = "yuv444p";
    ok(video_open(&v, &c));
    assert_int_equal(video_resume(v, &at, old), ST_MISMATCH);
    assert_non_null(strstr(error_last()->msg, "of another encoder"));
    video_close(&v);
    c.pix = NULL;
    flip_a_bit(old);
    ok(video_open(&v, &c));
    assert_int_equal(video_resume(v, &at, old), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "checksum"));
    video_close(&v);
    error_clear();
    free(path);
    free(old);
    clips_folder_drop(dir);
}

static int slice_errors;

static void count_slice_errors(void *from, int level, const char *fmt, va_list args)
{
    (void)from, (void)level, (void)args;
    slice_errors += strstr(fmt, "slice CRC mismatch") != NULL;
}

static void master_is_as_promised(void **state)
{
    struct clips_file file;
    char *const dir = clips_folder();
    char *const mkv = path_join(dir, "m.mkv"), *const mov = path_join(dir, "m.mov");
    struct video_config c = config(mkv, "ffv1");
    struct file_map m;
    char text[4096];

    (void)state;
    struct video_facts f = write_video(&c, 5);
    assert_int_equal(f.keyframes, 5); /* g 1 */
    assert_int_equal(f.choice.pix, PIX_YUV444P10);
    probe(mkv, "stream", text);
    has_line(text, "codec_name", "ffv1");
    flip_a_bit(mkv);
    slice_errors = 0;
    av_log_set_callback(count_slice_errors);
    clips_decode(&file, mkv, NULL, NULL);
    av_log_set_callback(av_log_default_callback);
    assert_int_equal(slice_errors, 1);
    c = config(mov, "prores");
    f = write_video(&c, 5);
    assert_int_equal(f.keyframes, 5);
    assert_string_equal(f.choice.profile, "hq");
    ok(file_map(&m, mov));
    bool vendor = false;
    for (size_t i = 0; i + 4 <= m.size; i++) vendor |= !memcmp(m.data + i, "apl0", 4);
    assert_true(vendor);
    file_unmap(&m);
    free(mkv);
    free(mov);
    clips_folder_drop(dir);
}

/* What is asked for, and the words it is refused with. */
static void refusals(void **state)
{
    static const struct {
        struct video_config c;
        status st;
        const char *msg;
    } cases[] = {
        { { .path = "a.mp4", .codec = "hevc" },
          ST_ARG,
          "a.mp4: codec `hevc` is not known; allowed: h264|ffv1|prores|av1" },
        { { .path = "a.mp4" },
          ST_ARG,
          "a.mp4: codec `` is not known; allowed: h264|ffv1|prores|av1" },
        { { .path = "x.mp4/clip", .codec = "h264" },
          ST_ARG,
          "x.mp4/clip: the file name must end in one of .mp4|mov|mkv, the containers for h264" },
        { { .path = "a.mp4", .codec = "ffv1" },
          ST_ARG,
          "a.mp4: the file name must end in one of .mkv, the containers for ffv1" },
        { { .path = "a.mov", .codec = "prores", .pix = "yuv420p" },
          ST_ARG,
          "a.mov: prores_ks has no pix `yuv420p`; allowed: yuv422p10|yuv444p10" },
        { { .path = "a.mp4", .codec = "h264", .pix = "yuv420p|yuv422p" },
          ST_ARG,
          "a.mp4: libx264 has no pix `yuv420p|yuv422p`; allowed: "
          "yuv420p|yuv422p|yuv444p|yuv420p10|yuv422p10|yuv444p10" },
        { { .path = "a.mp4", .codec = "h264", .width = 63 },
          ST_ARG,
          "a.mp4: 63x64 in yuv420p: width and height must be even" },
        { { .path = "a.mov", .codec = "prores", .width = 63 },
          ST_ARG,
          "a.mov: 63x64 in yuv422p10: the width must be even" },
        { { .path = "a.mp4", .codec = "av1", .width = 32 },
          ST_ARG,
          "a.mp4: 32x64; libsvtav1 takes width and height 64..16384" },
        { { .path = "a.mp4", .codec = "h264", .width = -8 },
          ST_ARG,
          "a.mp4: -8x64; libx264 takes width and height 2..16384" },
        { { .path = "a.mp4", .codec = "h264", .has_crf = true, .crf = 52 },
          ST_ARG,
          "a.mp4: h264 takes crf 0..51, not 52" },
        { { .path = "a.mp4", .codec = "av1", .has_crf = true, .crf = 0 },
          ST_ARG,
          "a.mp4: av1 takes crf 1..63, not 0" },
        { { .path = "a.mkv", .codec = "ffv1", .has_crf = true },
          ST_ARG,
          "a.mkv: ffv1 takes no crf" },
        { { .path = "a.mkv", .codec = "ffv1", .preset = "fast" },
          ST_ARG,
          "a.mkv: ffv1 takes no preset" },
        { { .path = "a.mp4", .codec = "av1", .preset = "14" },
          ST_ARG,
          "a.mp4: av1 has no preset `14`; allowed: 0|1|2|3|4|5|6|7|8|9|10|11|12|13" },
        { { .path = "a.mp4", .codec = "h264", .preset = "" },
          ST_ARG,
          "a.mp4: h264 has no preset ``; allowed: "
          "ultrafast|superfast|veryfast|faster|fast|medium|slow|slower|veryslow|placebo" },
        { { .path = "a.mp4", .codec = "h264", .profile = "high" },
          ST_ARG,
          "a.mp4: h264 takes no profile" },
        { { .path = "a.mov", .codec = "prores", .profile = "4444" },
          ST_ARG,
          "a.mov: prores profile 4444 does not go with pix yuv422p10" },
        { { .path = "a.mp4", .codec = "h264", .fps_num = 240 },
          ST_ARG,
          "a.mp4: 240/1 frames per second; allowed: above 0, below 240" },
        { { .path = "a.mp4", .codec = "h264", .fps_den = -1 },
          ST_ARG,
          "a.mp4: 16/-1 frames per second; allowed: above 0, below 240" },
        { { .path = "a.mp4", .codec = "h264", .threads = 65 },
          ST_ARG,
          "a.mp4: 65 encoder threads; allowed: 1..64" },
        { { .path = "a.mp4", .codec = "av1", .encoder = CODEC_NVENC },
          ST_ARG,
          "a.mp4: av1 has no encoder on a card" },
        { { .path = "a.mp4", .codec = "h264", .encoder = CODEC_NVENC },
          ST_ARG,
          "a.mp4: 64x64; h264_nvenc takes width and height 160..16384" },
        { { .path = "a.mp4",
            .codec = "h264",
            .encoder = CODEC_NVENC,
            .pix = "yuv420p10",
            .width = 832,
            .height = 480 },
          ST_ARG,
          "a.mp4: h264_nvenc has no pix `yuv420p10`; allowed: yuv420p|yuv444p" },
        { { .path = "/nowhere/at all/a.mp4", .codec = "h264" },
          ST_IO,
          "/nowhere/at all/a.mp4.packets: No such file or directory" },
    };
    struct video *v;

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct video_config c = cases[i].c;
        if (!c.width) c.width = W;
        if (!c.height) c.height = H;
        if (!c.fps_num) c.fps_num = 16;
        if (!c.fps_den) c.fps_den = 1;
        assert_int_equal(video_open(&v, &c), cases[i].st);
        assert_string_equal(error_last()->msg, cases[i].msg);
        assert_null(v);
        error_clear();
    }
}

static void full_disk(void **state)
{
    static const char *const endings[] = { "mp4", "mkv" };
    char *const dir = clips_folder();
    struct rlimit was, tight;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    tight = was;
    tight.rlim_cur = 30000;
    for (int i = 0; i < 2; i++) {
        char *const path = str_format("%s/full.%s", dir, endings[i]);
        struct video_config const c = config(path, "h264");
        struct video *v;
        status st = ST_OK;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        ok(video_open(&v, &c));
        for (int k = 0; st == ST_OK && k < 400; k++) st = clips_push(v, W, H, 7 * k);
        if (st == ST_OK) st = video_commit(v);
        video_close(&v);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
        assert_int_equal(st, ST_IO);
        assert_non_null(strstr(error_last()->msg, path));
        assert_non_null(strstr(error_last()->msg, "File too large"));
        free(path);
    }
    clips_folder_drop(dir);
}

static void verify_notices(void **state)
{
    char *const dir = clips_folder();
    char *const path = path_join(dir, "a.mp4");
    struct video_config const c = config(path, "h264");
    struct video *v;

    (void)state;
    struct video_facts const f = write_video(&c, FRAMES);
    assert_int_equal(video_open(&v, &c), ST_IO); /* it is there already */
    assert_null(v);
    ok(video_verify(path, &f, 16, 1));
    struct video_facts other = f;
    other.frames = FRAMES + 1;
    assert_int_equal(video_verify(path, &other, 16, 1), ST_MISMATCH);
    other.frames = FRAMES - 1;
    assert_int_equal(video_verify(path, &other, 16, 1), ST_MISMATCH);
    assert_int_equal(video_verify(path, &f, 24, 1), ST_MISMATCH);
    other = f;
    other.packets_sha256[0] ^= 1;
    assert_int_equal(video_verify(path, &other, 16, 1), ST_MISMATCH);
    assert_non_null(strstr(error_last()->msg, "its packets are not those of the encoder"));
    ok(file_write(path, "no video", 8));
    assert_int_equal(video_verify(path, &f, 16, 1), ST_MISMATCH);
    ok(dir_remove(path));
    ok(video_open(&v, &c));
    assert_int_equal(video_commit(v), ST_ARG); /* nothing pushed */
    video_close(&v);
    free(path);
    clips_folder_drop(dir);
}

static void encoders_are_here(void **state)
{
    char libs[CODEC_LIBS];

    (void)state;
    for (int i = 0; i < codec_count(); i++) {
        struct codec_probe p;
        codec_probe(&p, codec_at(i), CODEC_CPU);
        assert_string_equal(p.why, "");
        assert_true(p.opens);
    }
    struct codec_probe p;
    codec_probe(&p, &(struct codec){ .name = "vp8", .containers = "mkv" }, CODEC_CPU);
    assert_false(p.opens);
    assert_string_equal(p.why,
                        "probe.mkv: codec `vp8` is not known; allowed: h264|ffv1|prores|av1");
    assert_true(strncmp(codec_libs(libs), "libavformat ", 12) == 0);
}

/* What it would be told; and whether it opens, which is as the machine is. */
static void an_encoder_on_a_card(void **state)
{
    static const char *const presets[][2] = {
        { "ultrafast", "p1" }, { "veryfast", "p2" }, { "fast", "p3" },    { NULL, "p4" },
        { "slow", "p5" },      { "slower", "p6" },   { "placebo", "p7" },
    };
    struct codec_choice choice;
    struct codec_probe p;

    (void)state;
    for (int i = 0; i < COUNT_OF(presets); i++) {
        struct video_config c = config("a.mp4", "h264");
        c.encoder = CODEC_NVENC;
        c.width = c.height = 160;
        c.preset = presets[i][0];
        ok(codec_choose(&choice, &c));
        assert_string_equal(choice.encoder->name, "h264_nvenc");
        assert_string_equal(choice.preset, presets[i][1]);
        assert_int_equal(choice.pix, PIX_YUV420P);
        assert_int_equal(choice.crf, 18);
    }
    codec_probe(&p, choice.codec, CODEC_NVENC);
    if (p.opens) assert_string_equal(p.why, "");
    else
        assert_non_null(strstr(p.why, "the encoder h264_nvenc refuses 256x256 yuv420p at 16/1 "
                                      "with preset=p4:rc=constqp:qp=18: "));
    print_message("  h264_nvenc %s\n", p.opens ? "opens" : p.why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_encoder_on_a_card),
        cmocka_unit_test(every_combination),
        cmocka_unit_test(players_see_it),
        cmocka_unit_test(shortest_videos),
        cmocka_unit_test(transfer_is_told),
        cmocka_unit_test(key_frames_as_asked),
        cmocka_unit_test(bytes_repeat),
        cmocka_unit_test(segments_join),
        cmocka_unit_test(resume_refuses),
        cmocka_unit_test(master_is_as_promised),
        cmocka_unit_test(refusals),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(verify_notices),
        cmocka_unit_test(encoders_are_here),
    };
    codec_quiet();
    return cmocka_run_group_tests_name("unit_video", tests, NULL, NULL);
}
