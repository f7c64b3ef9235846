/* VP8 through libvpx, in the few calls that a call needs. */
#include "shim.h"
#include <stdlib.h>
#include <string.h>
#include <vpx/vp8cx.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vpx_encoder.h>

/* Speed over quality: 0.5 dB less than -4 at 60 % of its time (measured at 720p). */
enum { CPU_USED = -10 };

typedef struct {
    vpx_codec_ctx_t codec;
    vpx_codec_enc_cfg_t cfg;
} encoder_t;

static void *encoder_new(int width, int height, int kbps, int is_screen) {
    encoder_t *e = calloc(1, sizeof *e);
    vpx_codec_iface_t *vp8 = vpx_codec_vp8_cx();
    if (!e) return NULL;
    if (vpx_codec_enc_config_default(vp8, &e->cfg, 0)) goto failed;
    vpx_codec_enc_cfg_t *c = &e->cfg;
    c->g_w = width;
    c->g_h = height;
    c->g_timebase.num = 1;
    c->g_timebase.den = 90000;
    c->g_threads = 1; /* two spin-wait for one another on a busy machine: 86 ms a frame */
    c->g_lag_in_frames = 0;
    c->g_pass = VPX_RC_ONE_PASS;
    c->rc_end_usage = VPX_CBR;
    c->rc_target_bitrate = kbps;
    /* Of text nobody sees more than this; without a limit a page that stands still is sent again and again. */
    c->rc_min_quantizer = is_screen ? 12 : 2;
    c->rc_max_quantizer = 56;
    c->rc_undershoot_pct = 100;
    c->rc_overshoot_pct = 15;
    c->rc_buf_initial_sz = 500;
    c->rc_buf_optimal_sz = 600;
    c->rc_buf_sz = 1000;
    /* A late picture of a person is worth less than the next one; after a page of text none may come. */
    c->rc_dropframe_thresh = is_screen ? 0 : 30;
    c->kf_mode = VPX_KF_AUTO;
    c->kf_max_dist = 3000; /* key frames come when asked for */
    if (vpx_codec_enc_init(&e->codec, vp8, c, 0)) goto failed;
    vpx_codec_control(&e->codec, VP8E_SET_CPUUSED, CPU_USED);
    vpx_codec_control(&e->codec, VP8E_SET_STATIC_THRESHOLD, is_screen ? 500 : 1);
    vpx_codec_control(&e->codec, VP8E_SET_SCREEN_CONTENT_MODE, is_screen);
    vpx_codec_control(&e->codec, VP8E_SET_TOKEN_PARTITIONS, VP8_ONE_TOKENPARTITION);
    vpx_codec_control(&e->codec, VP8E_SET_MAX_INTRA_BITRATE_PCT, 450);
    return e;
failed:
    free(e);
    return NULL;
}

static void encoder_free(void *encoder) {
    encoder_t *e = encoder;
    vpx_codec_destroy(&e->codec);
    free(e);
}

static int encoder_set_bitrate(void *encoder, int kbps) {
    encoder_t *e = encoder;
    e->cfg.rc_target_bitrate = kbps;
    return vpx_codec_enc_config_set(&e->codec, &e->cfg);
}

static int encode(void *encoder, const uint8_t *i420, int64_t pts, int duration, int force_key, uint8_t *out,
                  int capacity, int *is_key) {
    encoder_t *e = encoder;
    vpx_image_t image;
    if (!vpx_img_wrap(&image, VPX_IMG_FMT_I420, e->cfg.g_w, e->cfg.g_h, 1, (unsigned char *)i420)) return -1;
    if (vpx_codec_encode(&e->codec, &image, pts, duration, force_key ? VPX_EFLAG_FORCE_KF : 0, VPX_DL_REALTIME))
        return -1;
    vpx_codec_iter_t iter = NULL;
    const vpx_codec_cx_pkt_t *packet;
    int written = 0;
    *is_key = 0;
    while ((packet = vpx_codec_get_cx_data(&e->codec, &iter))) {
        if (packet->kind != VPX_CODEC_CX_FRAME_PKT) continue;
        if ((int)packet->data.frame.sz > capacity - written) return -2;
        memcpy(out + written, packet->data.frame.buf, packet->data.frame.sz);
        written += (int)packet->data.frame.sz;
        *is_key = !!(packet->data.frame.flags & VPX_FRAME_IS_KEY);
    }
    return written;
}

static void *decoder_new(void) {
    vpx_codec_ctx_t *codec = calloc(1, sizeof *codec);
    vpx_codec_dec_cfg_t cfg = {1, 0, 0};
    if (codec && vpx_codec_dec_init(codec, vpx_codec_vp8_dx(), &cfg, 0)) {
        free(codec);
        return NULL;
    }
    return codec;
}

static void decoder_free(void *decoder) {
    vpx_codec_destroy(decoder);
    free(decoder);
}

static int decode(void *decoder, const uint8_t *data, unsigned size, const uint8_t *planes[3], int strides[3],
                  int *width, int *height) {
    vpx_codec_ctx_t *codec = decoder;
    if (vpx_codec_decode(codec, data, size, NULL, 0)) return -1;
    vpx_codec_iter_t iter = NULL;
    vpx_image_t *image = vpx_codec_get_frame(codec, &iter);
    if (!image) return 0;
    for (int p = 0; p < 3; p++) {
        planes[p] = image->planes[p];
        strides[p] = image->stride[p];
    }
    *width = (int)image->d_w;
    *height = (int)image->d_h;
    return 1;
}

const shim_t bedside_vp8 = {
    .encoder_new = encoder_new,
    .encoder_free = encoder_free,
    .encoder_set_bitrate = encoder_set_bitrate,
    .encode = encode,
    .decoder_new = decoder_new,
    .decoder_free = decoder_free,
    .decode = decode,
};
