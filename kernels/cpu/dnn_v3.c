/* dnn_v3.c - oneDNN 3: no operation descriptors, opaque memory descriptors. */
#include "kernels/cpu/dnn_internal.h"

#if DNNL_VERSION_MAJOR >= 3

static dnnl_data_type_t dnn_type_of(enum dtype t) { return t == DT_F32 ? dnnl_f32 : dnnl_bf16; }

/* Memory descriptors of one tile; each may be NULL. */
struct descs {
    dnnl_memory_desc_t x, w, y;
};

static void destroy_descs(struct descs *d)
{
    if (d->x) dnnl_memory_desc_destroy(d->x);
    if (d->w) dnnl_memory_desc_destroy(d->w);
    if (d->y) dnnl_memory_desc_destroy(d->y);
}

static dnnl_status_t make_attributes(dnnl_primitive_attr_t *out, bool add)
{
    dnnl_post_ops_t ops = NULL;

    dnnl_status_t st = dnnl_primitive_attr_create(out);
    if (st) return st;
    st = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (st || !add) return st;
    st = dnnl_post_ops_create(&ops);
    if (!st) st = dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
    if (!st) st = dnnl_primitive_attr_set_post_ops(*out, ops);
    dnnl_post_ops_destroy(ops);
    return st;
}

static dnnl_status_t describe_product(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                      const struct dnn_shape *s, const_dnnl_memory_desc_t w,
                                      dnnl_primitive_attr_t attr)
{
    struct descs d = { 0 };

    dnnl_status_t st = dnnl_memory_desc_create_with_tag(&d.x, 2, (dnnl_dims_t){ s->m, s->k },
                                                        dnn_type_of(s->dtype), dnnl_ab);
    if (!st)
        st = dnnl_memory_desc_create_with_tag(&d.w, 2, (dnnl_dims_t){ s->k, s->n },
                                              dnn_type_of(s->dtype), dnnl_format_tag_any);
    if (!st)
        st = dnnl_memory_desc_create_with_tag(&d.y, 2, (dnnl_dims_t){ s->m, s->n }, dnnl_f32,
                                              dnnl_ab);
    if (!st) st = dnnl_matmul_primitive_desc_create(out, engine, d.x, w ? w : d.w, NULL, d.y, attr);
    destroy_descs(&d);
    return st;
}

static dnnl_status_t describe_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                   const struct dnn_shape *s, const_dnnl_memory_desc_t w,
                                   dnnl_primitive_attr_t attr)
{
    struct descs d = { 0 };
    dnnl_dims_t const none = { 0, 0 }, strides = { s->stride, s->stride };
    dnnl_dims_t const to = { 1, s->n, (s->h - s->kh) / s->stride + 1,
                             (s->w - s->kw) / s->stride + 1 };

    dnnl_status_t st = dnnl_memory_desc_create_with_tag(
        &d.x, 4, (dnnl_dims_t){ 1, s->k, s->h, s->w }, dnn_type_of(s->dtype), dnnl_nhwc);
    if (!st)
        st = dnnl_memory_desc_create_with_tag(&d.w, 4, (dnnl_dims_t){ s->n, s->k, s->kh, s->kw },
                                              dnn_type_of(s->dtype), dnnl_format_tag_any);
    if (!st) st = dnnl_memory_desc_create_with_tag(&d.y, 4, to, dnnl_f32, dnnl_nhwc);
    if (!st)
        st = dnnl_convolution_forward_primitive_desc_create(
            out, engine, dnnl_forward_inference, dnnl_convolution_direct, d.x, w ? w : d.w, NULL,
            d.y, strides, none, none, none, attr);
    destroy_descs(&d);
    return st;
}

dnnl_status_t dnn_describe(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                           const struct dnn_shape *s, const_dnnl_primitive_desc_t form)
{
    const_dnnl_memory_desc_t const w =
        form ? dnnl_primitive_desc_query_md(form, dnnl_query_weights_md, 0) : NULL;
    dnnl_primitive_attr_t attr = NULL;

    dnnl_status_t st = make_attributes(&attr, s->add);
    if (!st && s->kind == DNN_PRODUCT) st = describe_product(out, engine, s, w, attr);
    if (!st && s->kind == DNN_CONV) st = describe_conv(out, engine, s, w, attr);
    dnnl_primitive_attr_destroy(attr);
    return st;
}

dnnl_status_t dnn_describe_pack(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                const struct dnn_shape *s, const_dnnl_primitive_desc_t form)
{
    const_dnnl_memory_desc_t const packed =
        dnnl_primitive_desc_query_md(form, dnnl_query_weights_md, 0);
    dnnl_memory_desc_t plain = NULL;
    dnnl_status_t st;

    if (s->kind == DNN_CONV)
        st = dnnl_memory_desc_create_with_tag(&plain, 4, (dnnl_dims_t){ s->n, s->k, s->kh, s->kw },
                                              dnn_type_of(s->dtype), dnnl_oihw);
    else
        st = dnnl_memory_desc_create_with_tag(&plain, 2, (dnnl_dims_t){ s->k, s->n },
                                              dnn_type_of(s->dtype), s->w_by_k ? dnnl_ab : dnnl_ba);
    if (!st) st = dnnl_reorder_primitive_desc_create(out, plain, engine, packed, engine, NULL);
    if (plain) dnnl_memory_desc_destroy(plain);
    return st;
}

#endif
