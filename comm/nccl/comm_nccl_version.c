/* comm_nccl_version.c - what NCCL has since when: the one place that asks for its version. */
#include "comm/nccl/comm_nccl_internal.h"

#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0)

const bool nccl_has_engines = true;

void nccl_configure(ncclConfig_t *c)
{
    c->blocking = 0;
    c->CTAPolicy = NCCL_CTA_POLICY_ZERO;
}

ncclResult_t nccl_register(ncclComm_t c, struct nccl_buffer *b)
{
    if (!b->window) return ncclCommRegister(c, b->at, b->bytes, &b->handle);
    return ncclCommWindowRegister(c, b->at, b->bytes, (ncclWindow_t *)&b->handle,
                                  NCCL_WIN_COLL_SYMMETRIC);
}

ncclResult_t nccl_deregister(ncclComm_t c, struct nccl_buffer *b)
{
    if (!b->window) return ncclCommDeregister(c, b->handle);
    return ncclCommWindowDeregister(c, (ncclWindow_t)b->handle);
}

#else

const bool nccl_has_engines = false;

void nccl_configure(ncclConfig_t *c) { c->blocking = 0; }

ncclResult_t nccl_register(ncclComm_t c, struct nccl_buffer *b)
{
    return ncclCommRegister(c, b->at, b->bytes, &b->handle);
}

ncclResult_t nccl_deregister(ncclComm_t c, struct nccl_buffer *b)
{
    return ncclCommDeregister(c, b->handle);
}

#endif
