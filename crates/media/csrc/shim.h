/* The calls that a codec's shim gives to `shim.rs`, in the order that it has them. Planes are tight I420. */
#ifndef BEDSIDE_SHIM_H
#define BEDSIDE_SHIM_H
#include <stdint.h>

typedef struct {
    /* NULL where such an encoder can't be had. is_screen: text that stands still, in place of people who move. */
    void *(*encoder_new)(int width, int height, int kbps, int is_screen);
    void (*encoder_free)(void *encoder);
    /* 0 where it is done. */
    int (*encoder_set_bitrate)(void *encoder, int kbps);
    /* Times in 90 kHz. Bytes written to out, 0 when the frame was dropped, negative on failure. */
    int (*encode)(void *encoder, const uint8_t *i420, int64_t pts, int duration, int force_key, uint8_t *out,
                  int capacity, int *is_key);
    void *(*decoder_new)(void);
    void (*decoder_free)(void *decoder);
    /* 1 with a picture whose planes stay valid until the next call, 0 without one, negative on failure. */
    int (*decode)(void *decoder, const uint8_t *data, unsigned size, const uint8_t *planes[3], int strides[3],
                  int *width, int *height);
} shim_t;

#endif
