/* unit_vae_refuse.c - checkpoints that are no autoencoder, and what is said about them. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/vae/vae.h"
#include "pipeline/weights/tensor_file.h"
#include "pipeline/weights/weights.h"

#define GOOD "tests/golden/vae-odd/model/Wan2.1_VAE.pth"

/* What is done to one tensor of a good checkpoint, and what is said about it. */
struct damage {
    const char *name;
    bool drop;
    int dim; /* that dimension is made `to` long */
    int64_t to;
    const char *says; /* after the path */
};

/* The good checkpoint, damaged, at `path`; all values 0. */
static void write_damaged(const char *path, const struct damage *d)
{
    struct weights *w;
    size_t most = 0;
    int n = 0, hits = 0;

    assert_int_equal(weights_open(&w, GOOD, NULL), ST_OK);
    int const all = weights_count(w);
    struct tensor_file_item *const item = calloc((size_t)all, sizeof *item);
    assert_non_null(item);
    for (int i = 0; i < all; i++) {
        bool const hit = !strcmp(weights_at(w, i)->name, d->name);
        hits += hit;
        if (hit && d->drop) continue;
        item[n] = (struct tensor_file_item){ weights_at(w, i)->name, weights_at(w, i)->t };
        if (hit) item[n].t.dim[d->dim] = d->to;
        if (tensor_bytes(&item[n].t) > most) most = tensor_bytes(&item[n].t);
        n++;
    }
    assert_int_equal(hits, 1);
    void *const zeros = calloc(1, most);
    assert_non_null(zeros);
    for (int i = 0; i < n; i++) item[i].t.data = zeros;
    assert_int_equal(tensor_file_write(path, item, n), ST_OK);
    free(zeros);
    free(item);
    weights_close(&w);
}

static void broken_checkpoints(void **state)
{
    static const struct damage table[] = {
        { "decoder.conv1.weight", .drop = true,
          .says = ": no decoder.conv1.weight, which a Wan2.1 VAE has; it seems to be a VAE" },
        { "decoder.conv1.weight", .dim = 0, .to = 18,
          .says = ": decoder.conv1.weight is [18, 16, 3, 3, 3]; "
                  "needs [4 * base width, 16, 3, 3, 3]" },
        { "decoder.conv1.weight", .dim = 0, .to = 0,
          .says = ": decoder.conv1.weight is [0, 16, 3, 3, 3]; "
                  "needs [4 * base width, 16, 3, 3, 3]" },
        { "decoder.head.2.bias", .drop = true,
          .says = ": tensors: 1 missing, 0 of another shape or dtype\n"
                  "  missing  decoder.head.2.bias [3]" },
        { "encoder.middle.1.to_qkv.weight", .dim = 0, .to = 32,
          .says = ": tensors: 0 missing, 1 of another shape or dtype\n"
                  "  shape    encoder.middle.1.to_qkv.weight is [32, 16, 1, 1], "
                  "wanted [48, 16, 1, 1]" },
    };
    char dir[] = "/tmp/unit_vae.XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    char *const path = path_join(dir, "vae.safetensors");
    for (int i = 0; i < COUNT_OF(table); i++) {
        struct vae *v = NULL;
        write_damaged(path, &table[i]);
        assert_int_equal(vae_open(&v,
                                  &(struct vae_config){
                                      .backend = kern_backend_find("ref"),
                                      .threads = 1,
                                      .precision = DT_F32,
                                      .latent_h = 1,
                                      .latent_w = 1,
                                      .path = path,
                                  }),
                         ST_FORMAT);
        assert_null(v);
        assert_memory_equal(error_last()->msg, path, strlen(path));
        assert_string_equal(error_last()->msg + strlen(path), table[i].says);
    }
    assert_int_equal(dir_remove(dir), ST_OK);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_checkpoints),
    };
    return cmocka_run_group_tests_name("unit_vae_refuse", tests, NULL, NULL);
}
