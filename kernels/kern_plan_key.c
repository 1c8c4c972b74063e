#include "kernels/kern_internal.h"

/* FNV-1a, a number at a time. */
static void add(uint64_t *key, int64_t n) { *key = (*key ^ (uint64_t)n) * 1099511628211u; }

static void add_tensor(uint64_t *key, const struct tensor *t)
{
    add(key, t ? t->ndim : -1);
    if (!t) return;
    add(key, t->dtype);
    for (int i = 0; i < t->ndim; i++) add(key, t->dim[i]);
}

static void add_weight(uint64_t *key, const struct kern_weight *w)
{
    add(key, w->use);
    add_tensor(key, &w->t);
}

static void add_linear(uint64_t *key, const struct kern_linear *a)
{
    add_tensor(key, a->x);
    add_weight(key, a->w);
    add_tensor(key, a->bias);
    add_tensor(key, a->residual);
    add_tensor(key, a->gate);
    add_tensor(key, a->out);
    add(key, a->act);
}

static void add_projection(uint64_t *key, const struct kern_projection *p)
{
    add_weight(key, p->w);
    add_tensor(key, p->bias);
    add_tensor(key, p->norm);
    add_tensor(key, p->out);
}

static void add_qkv(uint64_t *key, const struct kern_qkv *a)
{
    add_tensor(key, a->x);
    add(key, a->q.out != NULL);
    if (a->q.out) add_projection(key, &a->q);
    add_projection(key, &a->k);
    add_projection(key, &a->v);
}

/* In how many segments the keys come is nobody's but the backend's. */
static void add_attention(uint64_t *key, const struct kern_attention *a)
{
    add_tensor(key, a->q);
    add_tensor(key, a->bias);
    add_tensor(key, a->out);
    add_tensor(key, a->lse);
    add(key, attention_keys(a));
    add(key, a->heads);
    add(key, a->low_precision);
}

static void add_conv3d(uint64_t *key, const struct kern_conv3d *a)
{
    add_tensor(key, a->past);
    add_tensor(key, a->x);
    add_weight(key, a->w);
    add_tensor(key, a->bias);
    add_tensor(key, a->residual);
    add_tensor(key, a->out);
    add(key, a->stride_t);
    add(key, a->stride);
    add(key, a->pad_lo);
    add(key, a->pad_hi);
    add(key, a->upsample);
}

uint64_t kern_plan_key(enum kern_op op, const void *args)
{
    uint64_t key = 14695981039346656037u;

    add(&key, op);
    switch (op) {
    case KERN_OP_linear: add_linear(&key, args); break;
    case KERN_OP_linear_norm:
        add_linear(&key, &((const struct kern_linear_norm *)args)->linear);
        break;
    case KERN_OP_qkv: add_qkv(&key, args); break;
    case KERN_OP_attention: add_attention(&key, args); break;
    case KERN_OP_conv3d: add_conv3d(&key, args); break;
    default: return 0;
    }
    return key;
}
