/* dnn_v2.c - oneDNN 2: operation descriptors, memory descriptors by value. */
#include "kernels/cpu/dnn_internal.h"

#if DNNL_VERSION_MAJOR == 2

static dnnl_data_type_t dnn_type_of(enum dtype t) { return t == DT_F32 ? dnnl_f32 : dnnl_bf16; }

static dnnl_status_t make_attributes(dnnl_primitive_attr_t *out, bool add)
{
    dnnl_post_ops_t ops = NULL;

    dnnl_status_t st = dnnl_primitive_attr_create(out);
    if (st) return st;
    st = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (st || !add) return st;
    st = dnnl_post_ops_create(&ops);
    if (!st) st = dnnl_post_ops_append_sum(ops, 1.0f);
    if (!st) st = dnnl_primitive_attr_set_post_ops(*out, ops);
    dnnl_post_ops_destroy(ops);
    return st;
}

static dnnl_status_t describe_product(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                      const struct dnn_shape *s, const dnnl_memory_desc_t *w,
                                      dnnl_primitive_attr_t attr)
{
    dnnl_memory_desc_t x, any, y;
    dnnl_matmul_desc_t op;

    dnnl_status_t st = dnnl_memory_desc_init_by_tag(&x, 2, (dnnl_dims_t){ s->m, s->k },
                                                    dnn_type_of(s->dtype), dnnl_ab);
    if (!st)
        st = dnnl_memory_desc_init_by_tag(&any, 2, (dnnl_dims_t){ s->k, s->n },
                                          dnn_type_of(s->dtype), dnnl_format_tag_any);
    if (!st)
        st = dnnl_memory_desc_init_by_tag(&y, 2, (dnnl_dims_t){ s->m, s->n }, dnnl_f32, dnnl_ab);
    if (!st) st = dnnl_matmul_desc_init(&op, &x, w ? w : &any, NULL, &y);
    return st ? st : dnnl_primitive_desc_create(out, &op, attr, engine, NULL);
}

static dnnl_status_t describe_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                   const struct dnn_shape *s, const dnnl_memory_desc_t *w,
                                   dnnl_primitive_attr_t attr)
{
    dnnl_memory_desc_t x, any, y;
    dnnl_convolution_desc_t op;
    dnnl_dims_t const none = { 0, 0 }, strides = { s->stride, s->stride };
    dnnl_dims_t const to = { 1, s->n, (s->h - s->kh) / s->stride + 1,
                             (s->w - s->kw) / s->stride + 1 };

    dnnl_status_t st = dnnl_memory_desc_init_by_tag(&x, 4, (dnnl_dims_t){ 1, s->k, s->h, s->w },
                                                    dnn_type_of(s->dtype), dnnl_nhwc);
    if (!st)
        st = dnnl_memory_desc_init_by_tag(&any, 4, (dnnl_dims_t){ s->n, s->k, s->kh, s->kw },
                                          dnn_type_of(s->dtype), dnnl_format_tag_any);
    if (!st) st = dnnl_memory_desc_init_by_tag(&y, 4, to, dnnl_f32, dnnl_nhwc);
    if (!st)
        st =
            dnnl_convolution_forward_desc_init(&op, dnnl_forward_inference, dnnl_convolution_direct,
                                               &x, w ? w : &any, NULL, &y, strides, none, none);
    return st ? st : dnnl_primitive_desc_create(out, &op, attr, engine, NULL);
}

dnnl_status_t dnn_describe(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                           const struct dnn_shape *s, const_dnnl_primitive_desc_t form)
{
    const dnnl_memory_desc_t *const w =
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
    dnnl_memory_desc_t plain;
    dnnl_status_t st;

    if (s->kind == DNN_CONV)
        st = dnnl_memory_desc_init_by_tag(&plain, 4, (dnnl_dims_t){ s->n, s->k, s->kh, s->kw },
                                          dnn_type_of(s->dtype), dnnl_oihw);
    else
        st = dnnl_memory_desc_init_by_tag(&plain, 2, (dnnl_dims_t){ s->k, s->n },
                                          dnn_type_of(s->dtype), s->w_by_k ? dnnl_ab : dnnl_ba);
    if (st) return st;
    return dnnl_reorder_primitive_desc_create(
        out, &plain, engine, dnnl_primitive_desc_query_md(form, dnnl_query_weights_md, 0), engine,
        NULL);
}

#endif
