/* unit_pictures.c - pictures read out of files: which of a video, at which size; what is none. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "pipeline/output/av/video.h"
#include "pipeline/output/av/video_pictures.h"
#include "tests/support/clips.h"

#include <libavutil/log.h>
#include <stdio.h>
#include <unistd.h>

enum { W = 64, H = 64, FRAMES = 20 };

static char dir[] = "/tmp/unit_pictures.XXXXXX";

/* Twenty pictures without loss, at a rate whose times are no whole milliseconds. */
static const char *written(const char *name)
{
    static char path[128];
    struct video *v;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    ok(video_open(
        &v,
        &(struct video_config){
            .path = path, .codec = "ffv1", .width = W, .height = H, .fps_num = 16, .fps_den = 1 }));
    for (int i = 0; i < FRAMES; i++) ok(clips_push(v, W, H, i));
    ok(video_commit(v));
    video_close(&v);
    return path;
}

static struct video_pictures_config sized(const char *path, int width, int height, int64_t count)
{
    return (struct video_pictures_config){
        .path = path, .width = width, .height = height, .fps_num = 16, .fps_den = 1, .count = count
    };
}

static struct video_pictures_config last(const char *path, int64_t count)
{
    return sized(path, W, H, count);
}

static const uint16_t *at(const struct video_pictures *p, int64_t i)
{
    return p->rgb + (size_t)i * (size_t)(p->width * p->height * 3);
}

static size_t bytes_of(const struct video_pictures *p)
{
    return (size_t)(p->width * p->height * 3) * sizeof *p->rgb;
}

/* Each picture once, the last ones in their order; at twice the rate each twice. */
static void the_end_of_a_video(void **state)
{
    const char *const path = written("a.mkv");
    struct video_pictures_config c = last(path, FRAMES);
    struct video_pictures all, some;

    (void)state;
    ok(video_pictures_read(&all, &c));
    assert_int_equal(all.count, FRAMES);
    for (int i = 1; i < FRAMES; i++)
        assert_memory_not_equal(at(&all, i - 1), at(&all, i), bytes_of(&all));
    for (int n = 1; n <= 9; n += 4) {
        c.count = n;
        ok(video_pictures_read(&some, &c));
        assert_int_equal(some.count, n);
        for (int i = 0; i < n; i++)
            assert_memory_equal(at(&some, i), at(&all, FRAMES - n + i), bytes_of(&all));
        video_pictures_free(&some);
    }
    c = last(path, FRAMES);
    c.fps_num = 32;
    ok(video_pictures_read(&some, &c));
    for (int i = 0; i < FRAMES; i++)
        assert_memory_equal(at(&some, i), at(&all, FRAMES / 2 + i / 2), bytes_of(&all));
    video_pictures_free(&some);
    c = last(path, 0);
    ok(video_pictures_read(&some, &c));
    assert_int_equal(some.count, 1); /* as a still */
    assert_memory_equal(at(&some, 0), at(&all, 0), bytes_of(&all));
    video_pictures_free(&some);
    video_pictures_free(&all);
}

/* A wider picture is scaled to the height and cut above and below: its middle is what is left. */
static void another_size(void **state)
{
    const char *const path = written("b.mkv");
    struct video_pictures_config c = last(path, 1);
    struct video_pictures whole, wide;

    (void)state;
    ok(video_pictures_read(&whole, &c));
    c = sized(path, W, H / 2, 1);
    ok(video_pictures_read(&wide, &c));
    assert_int_equal(wide.height, H / 2);
    assert_memory_equal(at(&wide, 0), at(&whole, 0) + (ptrdiff_t)(H / 4) * W * 3, bytes_of(&wide));
    video_pictures_free(&wide);
    c = sized(path, 2 * W, 2 * H, 1);
    ok(video_pictures_read(&wide, &c));
    assert_int_equal(wide.width, 2 * W);
    video_pictures_free(&wide);
    video_pictures_free(&whole);
}

static bool stop_at_fifth(void *arg) { return ++*(int *)arg == 5; }

/* Between any two pictures of the file, also of those that are not wanted. */
static void a_stop_is_heard(void **state)
{
    struct video_pictures_config c = last(written("s.mkv"), 1);
    struct video_pictures p;
    int asked = 0;

    (void)state;
    c.stop = stop_at_fifth;
    c.stop_arg = &asked;
    assert_int_equal(video_pictures_read(&p, &c), ST_CANCELED);
    assert_int_equal(asked, 5);
    assert_null(p.rgb);
}

static void what_is_no_video(void **state)
{
    const char *const path = written("c.mkv");
    char none[128], want[256];
    struct video_pictures p;
    struct video_pictures_config c = last(path, FRAMES + 1);

    (void)state;
    assert_int_equal(video_pictures_read(&p, &c), ST_FORMAT);
    snprintf(want, sizeof want, "%s: found 20 pictures at 16/1 a second; 21 are wanted", path);
    assert_string_equal(error_last()->msg, want);
    assert_null(p.rgb);
    c.count = (int64_t)1 << 40;
    assert_int_equal(video_pictures_read(&p, &c), ST_ARG);
    c = last(none, 1);
    snprintf(none, sizeof none, "%s/none.mkv", dir);
    assert_int_equal(video_pictures_read(&p, &c), ST_FORMAT);
    ok(file_write(none, "no video", 8));
    assert_int_equal(video_pictures_read(&p, &c), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "none.mkv: no picture or video can be read: "));
    assert_int_equal(truncate(path, 3000), 0); /* ends within its pictures */
    c = last(path, FRAMES);
    assert_int_equal(video_pictures_read(&p, &c), ST_FORMAT);
    assert_null(p.rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_video),
        cmocka_unit_test(another_size),
        cmocka_unit_test(a_stop_is_heard),
        cmocka_unit_test(what_is_no_video),
    };

    av_log_set_level(AV_LOG_QUIET);
    if (!mkdtemp(dir)) return 1;
    int const failed = cmocka_run_group_tests_name("unit_pictures", tests, NULL, NULL);
    for (const char *name = "abc"; *name; name++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%c.mkv", dir, *name);
        unlink(path);
    }
    char none[128];
    snprintf(none, sizeof none, "%s/none.mkv", dir);
    unlink(none);
    rmdir(dir);
    return failed;
}
