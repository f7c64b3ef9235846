/* H.264 constrained baseline through OpenH264, in the few calls that a call needs. */
#include "shim.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wels/codec_api.h>

/* Of RTP, and of the pace that an encoder is made for until the first frame says its own. */
enum { CLOCK_RATE = 90000, FPS = 30 };

typedef struct {
    ISVCEncoder *codec;
    int width, height;
    float fps;
} encoder_t;

static void *encoder_new(int width, int height, int kbps, int is_screen) {
    (void)is_screen; /* its tools for screens leave two thirds of the bitrate unused */
    encoder_t *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    if (WelsCreateSVCEncoder(&e->codec)) goto failed;
    SEncParamExt p;
    (*e->codec)->GetDefaultParams(e->codec, &p);
    e->width = width;
    e->height = height;
    e->fps = FPS;
    p.iUsageType = CAMERA_VIDEO_REAL_TIME;
    p.iPicWidth = width;
    p.iPicHeight = height;
    p.iTargetBitrate = kbps * 1000;
    p.iMaxBitrate = UNSPECIFIED_BIT_RATE;
    p.iRCMode = RC_BITRATE_MODE;
    p.fMaxFrameRate = FPS;
    p.iComplexityMode = LOW_COMPLEXITY;
    p.uiIntraPeriod = 0; /* key frames come when asked for */
    p.eSpsPpsIdStrategy = CONSTANT_ID;
    p.iEntropyCodingModeFlag = 0;
    p.bEnableFrameSkip = true; /* without it the bitrate is not held */
    p.iMultipleThreadIdc = 1;
    p.bEnableDenoise = false;
    p.bEnableSceneChangeDetect = false;
    p.iSpatialLayerNum = 1;
    SSpatialLayerConfig *layer = &p.sSpatialLayers[0];
    layer->iVideoWidth = width;
    layer->iVideoHeight = height;
    layer->fFrameRate = FPS;
    layer->iSpatialBitrate = kbps * 1000;
    layer->iMaxSpatialBitrate = UNSPECIFIED_BIT_RATE;
    layer->uiProfileIdc = PRO_BASELINE;
    layer->uiLevelIdc = LEVEL_3_1;
    /* Said, as decoders guess otherwise from the size. */
    layer->bVideoSignalTypePresent = true;
    layer->uiVideoFormat = VF_UNDEF;
    layer->bFullRange = false;
    layer->bColorDescriptionPresent = true;
    layer->uiColorPrimaries = CP_SMPTE170M;
    layer->uiTransferCharacteristics = TRC_SMPTE170M;
    layer->uiColorMatrix = CM_SMPTE170M;
    layer->sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
    int quiet = WELS_LOG_QUIET;
    (*e->codec)->SetOption(e->codec, ENCODER_OPTION_TRACE_LEVEL, &quiet);
    if ((*e->codec)->InitializeExt(e->codec, &p)) goto failed;
    return e;
failed:
    if (e->codec) WelsDestroySVCEncoder(e->codec);
    free(e);
    return NULL;
}

static void encoder_free(void *encoder) {
    encoder_t *e = encoder;
    (*e->codec)->Uninitialize(e->codec);
    WelsDestroySVCEncoder(e->codec);
    free(e);
}

static int encoder_set_bitrate(void *encoder, int kbps) {
    encoder_t *e = encoder;
    SBitrateInfo bitrate = {SPATIAL_LAYER_ALL, kbps * 1000};
    return (*e->codec)->SetOption(e->codec, ENCODER_OPTION_BITRATE, &bitrate);
}

/* Writes an access unit as a byte stream (H.264 Annex B). */
static int encode(void *encoder, const uint8_t *i420, int64_t pts, int duration, int force_key, uint8_t *out,
                  int capacity, int *is_key) {
    encoder_t *e = encoder;
    float fps = (float)CLOCK_RATE / (duration > 0 ? duration : 1);
    /* Its rate control shares the bitrate among so many frames. */
    if (fps != e->fps && !(*e->codec)->SetOption(e->codec, ENCODER_OPTION_FRAME_RATE, &fps)) e->fps = fps;
    if (force_key && (*e->codec)->ForceIntraFrame(e->codec, true)) return -1;
    int luma = e->width * e->height;
    SSourcePicture picture = {
        .iColorFormat = videoFormatI420,
        .iStride = {e->width, e->width / 2, e->width / 2},
        .pData = {(uint8_t *)i420, (uint8_t *)i420 + luma, (uint8_t *)i420 + luma + luma / 4},
        .iPicWidth = e->width,
        .iPicHeight = e->height,
        .uiTimeStamp = pts * 1000 / CLOCK_RATE,
    };
    SFrameBSInfo info;
    memset(&info, 0, sizeof info);
    if ((*e->codec)->EncodeFrame(e->codec, &picture, &info)) return -1;
    *is_key = info.eFrameType == videoFrameTypeIDR;
    if (info.eFrameType == videoFrameTypeSkip || info.eFrameType == videoFrameTypeInvalid) return 0;
    int written = 0;
    for (int l = 0; l < info.iLayerNum; l++) {
        const SLayerBSInfo *layer = &info.sLayerInfo[l];
        int size = 0;
        for (int n = 0; n < layer->iNalCount; n++) size += layer->pNalLengthInByte[n];
        if (written + size > capacity) return -1;
        memcpy(out + written, layer->pBsBuf, size);
        written += size;
    }
    return written;
}

static void *decoder_new(void) {
    ISVCDecoder *codec = NULL;
    if (WelsCreateDecoder(&codec)) return NULL;
    SDecodingParam p;
    memset(&p, 0, sizeof p);
    p.uiTargetDqLayer = 255;
    p.eEcActiveIdc = ERROR_CON_DISABLE; /* what can't be decoded is asked for again */
    p.sVideoProperty.eVideoBsType = VIDEO_BITSTREAM_AVC;
    int quiet = WELS_LOG_QUIET;
    (*codec)->SetOption(codec, DECODER_OPTION_TRACE_LEVEL, &quiet);
    if ((*codec)->Initialize(codec, &p)) {
        WelsDestroyDecoder(codec);
        return NULL;
    }
    return codec;
}

static void decoder_free(void *decoder) {
    ISVCDecoder *codec = decoder;
    (*codec)->Uninitialize(codec);
    WelsDestroyDecoder(codec);
}

static int decode(void *decoder, const uint8_t *data, unsigned size, const uint8_t *planes[3], int strides[3],
                  int *width, int *height) {
    ISVCDecoder *codec = decoder;
    SBufferInfo info;
    memset(&info, 0, sizeof info);
    if ((*codec)->DecodeFrameNoDelay(codec, data, size, (uint8_t **)planes, &info)) return -1;
    if (info.iBufferStatus != 1) return 0;
    const SSysMEMBuffer *buffer = &info.UsrData.sSystemBuffer;
    strides[0] = buffer->iStride[0];
    strides[1] = strides[2] = buffer->iStride[1];
    *width = buffer->iWidth;
    *height = buffer->iHeight;
    return 1;
}

const shim_t bedside_h264 = {
    .encoder_new = encoder_new,
    .encoder_free = encoder_free,
    .encoder_set_bitrate = encoder_set_bitrate,
    .encode = encode,
    .decoder_new = decoder_new,
    .decoder_free = decoder_free,
    .decode = decode,
};
