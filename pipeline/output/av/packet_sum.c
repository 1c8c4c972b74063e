/*
 * packet_sum.c - packets hashed so that an encoder's and a container's compare.
 *
 * H.264 comes from the encoder with start codes (ISO/IEC 14496-10, annex B) and lies in MP4 and
 * Matroska with lengths (14496-15): what is hashed is each part's length and bytes. AV1's
 * containers leave out temporal delimiters, padding and the like (av1-isobmff 2.4): what is
 * hashed is the rest.
 */
#include "pipeline/output/av/av_internal.h"

#include <libavutil/intreadwrite.h>

static status add_part(struct packet_sum *s, const unsigned char *data, size_t len)
{
    unsigned char size[8];

    if (!len) return ST_OK;
    AV_WB64(size, len);
    TRY(digest_add(&s->digest, size, sizeof size));
    return digest_add(&s->digest, data, len);
}

/* The next 00 00 01 from `at` on, or the end. */
static const unsigned char *find_start(const unsigned char *at, const unsigned char *end)
{
    for (; end - at >= 3; at++)
        if (!at[0] && !at[1] && at[2] == 1) return at;
    return end;
}

/* A start code may have one more zero in front. */
static status add_annex_b(struct packet_sum *s, const unsigned char *data, size_t len)
{
    const unsigned char *const end = data + len, *at = find_start(data, end);

    while (at < end) {
        const unsigned char *const part = at + 3;
        at = find_start(part, end);
        TRY(add_part(s, part, (size_t)(at - part) - (at < end && at > part && !at[-1])));
    }
    return ST_OK;
}

static status fail_cut(void)
{
    return fail(ST_MISMATCH, "a packet whose parts do not fit together");
}

static status add_by_length(struct packet_sum *s, const unsigned char *data, size_t len)
{
    while (len) {
        size_t const part = len >= 4 ? AV_RB32(data) : SIZE_MAX;
        if (part > len - 4) return fail_cut();
        TRY(add_part(s, data + 4, part));
        data += 4 + part;
        len -= 4 + part;
    }
    return ST_OK;
}

enum { OBU_DELIMITER = 2, OBU_REDUNDANT_HEADER = 7, OBU_TILE_LIST = 8, OBU_PADDING = 15 };

/* The length of an open bitstream unit of at most `len` bytes, 0: it is cut. AV1, 5.3. */
static size_t obu_bytes(const unsigned char *data, size_t len)
{
    size_t head = 1 + (data[0] >> 2 & 1);
    uint64_t size = 0;

    if (!(data[0] & 2)) return len; /* to the end of the packet */
    for (int i = 0; i < 8 && head < len; i++) {
        unsigned char const byte = data[head++];
        size |= (uint64_t)(byte & 127) << (7 * i);
        if (!(byte & 128)) return size <= len - head ? head + (size_t)size : 0;
    }
    return 0;
}

static status add_obus(struct packet_sum *s, const unsigned char *data, size_t len)
{
    while (len) {
        int const type = data[0] >> 3 & 15;
        size_t const n = obu_bytes(data, len);
        if (!n) return fail_cut();
        if (type != OBU_DELIMITER && type != OBU_REDUNDANT_HEADER && type != OBU_TILE_LIST &&
            type != OBU_PADDING)
            TRY(add_part(s, data, n));
        data += n;
        len -= n;
    }
    return ST_OK;
}

status packet_sum_open(struct packet_sum *s, enum codec_framing framing)
{
    *s = (struct packet_sum){ .framing = framing };
    return digest_open(&s->digest);
}

status packet_sum_add(struct packet_sum *s, const AVPacket *p, bool from_container)
{
    typedef status (*add)(struct packet_sum *, const unsigned char *, size_t);
    static const add by[][2] = {
        [CODEC_PLAIN] = { add_part, add_part },
        [CODEC_NALS] = { add_annex_b, add_by_length },
        [CODEC_OBUS] = { add_obus, add_obus },
    };

    return by[s->framing][from_container](s, p->data, (size_t)p->size);
}

status packet_sum_end(struct packet_sum *s, char sha256[DIGEST_HEX])
{
    return digest_end(&s->digest, sha256);
}

void packet_sum_close(struct packet_sum *s) { digest_close(&s->digest); }
