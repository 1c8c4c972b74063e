/*
 * kern_plan_key.c - the key under which a dry run remembers that a call has been prepared.
 *
 * A transformer asks for the same few shapes in every layer; preparing each again would be
 * harmless and slow. A key that leaves something out would be worse: a kernel would then be
 * compiled in the middle of a clip. So everything is taken in that any backend's prepare looks at.
 */
#include "kernels/kern_internal.h"

/* FNV-1a, a number at a time. */
static void hash_number(uint64_t *key, int64_t n) { *key = (*key ^ (uint64_t)n) * 1099511628211u; }

static void hash_tensor(uint64_t *key, const struct tensor *t)
{
    hash_number(key, t ? t->ndim : -1);
    if (!t) return;
    hash_number(key, t->dtype);
    for (int i = 0; i < t->ndim; i++) hash_number(key, t->dim[i]);
}

static void hash_weight(uint64_t *key, const struct kern_weight *w)
{
    hash_number(key, w->use);
    hash_tensor(key, &w->t);
}

static void hash_linear(uint64_t *key, const struct kern_linear *a)
{
    hash_tensor(key, a->x);
    hash_weight(key, a->w);
    hash_tensor(key, a->bias);
    hash_tensor(key, a->residual);
    hash_tensor(key, a->gate);
    hash_tensor(key, a->out);
    hash_number(key, a->act);
}

static void hash_projection(uint64_t *key, const struct kern_projection *p)
{
    hash_weight(key, p->w);
    hash_tensor(key, p->bias);
    hash_tensor(key, p->norm);
    hash_tensor(key, p->out);
}

static void hash_qkv(uint64_t *key, const struct kern_qkv *a)
{
    hash_tensor(key, a->x);
    hash_number(key, a->q.out != NULL);
    if (a->q.out) hash_projection(key, &a->q);
    hash_projection(key, &a->k);
    hash_projection(key, &a->v);
}

/* In how many segments the keys come is nobody's but the backend's. */
static void hash_attention(uint64_t *key, const struct kern_attention *a)
{
    hash_tensor(key, a->q);
    hash_tensor(key, a->bias);
    hash_tensor(key, a->out);
    hash_tensor(key, a->lse);
    hash_number(key, attention_keys(a));
    hash_number(key, a->heads);
    hash_number(key, a->low_precision);
}

static void hash_conv3d(uint64_t *key, const struct kern_conv3d *a)
{
    hash_tensor(key, a->past);
    hash_tensor(key, a->x);
    hash_weight(key, a->w);
    hash_tensor(key, a->bias);
    hash_tensor(key, a->residual);
    hash_tensor(key, a->out);
    hash_number(key, a->stride_t);
    hash_number(key, a->stride);
    hash_number(key, a->pad_lo);
    hash_number(key, a->pad_hi);
    hash_number(key, a->upsample);
}

uint64_t kern_plan_key(enum kern_op op, const void *args)
{
    uint64_t key = 14695981039346656037u;

    hash_number(&key, op);
    switch (op) {
    case KERN_OP_linear: hash_linear(&key, args); break;
    case KERN_OP_linear_norm:
        hash_linear(&key, &((const struct kern_linear_norm *)args)->linear);
        break;
    case KERN_OP_qkv: hash_qkv(&key, args); break;
    case KERN_OP_attention: hash_attention(&key, args); break;
    case KERN_OP_conv3d: hash_conv3d(&key, args); break;
    default: return 0;
    }
    return key;
}
