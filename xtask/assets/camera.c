/* A fake V4L2 camera, preloaded under the real nokhwa where there is no camera.
 *
 * Opening the path in BEDSIDE_FAKE_CAMERA gives a timer whose ticks are frames: YUYV, 1280x720 or
 * 640x480 at 30. The picture is a drawn person who moves a little; BEDSIDE_FAKE_CAMERA_LOOK (0, 1)
 * says which. BEDSIDE_FAKE_CAMERA_KIND makes it one of the odd ones that there are: "mjpeg" (frames
 * from the file in BEDSIDE_FAKE_CAMERA_JPEG, 64x48), "ntsc" (1001/30000), "stepwise" (sizes and
 * intervals in steps), "stride" (rows with a gap), "stall" (stops after 30 frames). Into the top of each frame its time is burnt: 40 black or white blocks, a fortieth of
 * the width each: 32 bits of milliseconds since 1970 and 8 of check, lowest first.
 *
 * With BEDSIDE_FAKE_CAMERA_CLIP the frames come from that file instead, over and over, as they are
 * (YUYV, 1280x720, 300 of them), and "number,milliseconds since 1970" of each is written to the file in
 * BEDSIDE_FAKE_CAMERA_SENT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 4, FPS = 30, BITS = 40 };
static int camera = -1, memory = -1, streaming, queue[BUFFERS], queued;
static unsigned width = 1280, height = 720, sequence;
static size_t buffer_size;
static uint8_t *frames, *background;
static const struct { unsigned w, h; } sizes[] = {{1280, 720}, {640, 480}};

static int is_kind(const char *kind) {
    const char *wanted = getenv("BEDSIDE_FAKE_CAMERA_KIND");
    return wanted && !strcmp(wanted, kind);
}

static unsigned stride(void) { return width * 2 + (is_kind("stride") ? 64 : 0); }

static size_t frame_bytes(void) { return (size_t)stride() * height; }

static uint32_t pixels(void) { return is_kind("mjpeg") ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_YUYV; }

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int fail(int error) { errno = error; return -1; }

static int open_camera(const char *path) {
    const char *fake = getenv("BEDSIDE_FAKE_CAMERA");
    if (!fake || strcmp(path, fake)) return -2;
    if (camera >= 0) return fail(EBUSY);
    camera = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    sequence = queued = streaming = 0;
    return camera;
}

static mode_t mode_of(int flags, va_list args) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, mode_t) : 0; }

int open(const char *path, int flags, ...) {
    va_list args; va_start(args, flags); mode_t mode = mode_of(flags, args); va_end(args);
    int fd = open_camera(path);
    return fd != -2 ? fd : NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list args; va_start(args, flags); mode_t mode = mode_of(flags, args); va_end(args);
    int fd = open_camera(path);
    return fd != -2 ? fd : NEXT(open64)(path, flags, mode);
}

int close(int fd) {
    if (fd >= 0 && fd == camera) {
        camera = -1;
        if (memory >= 0) NEXT(close)(memory);
        memory = -1;
    }
    return NEXT(close)(fd);
}

static int clamp(int v) { return v < 16 ? 16 : v > 235 ? 235 : v; }

/* Y, U, V of a room, or of the person where (x, y) is one; coordinates from 0 to 1. */
static void colour(float x, float y, float sway, int look, int out[3]) {
    float face = powf((x - 0.5f - sway) / 0.105f, 2) + powf((y - 0.42f) / 0.24f, 2);
    float hair = powf((x - 0.5f - sway) / 0.125f, 2) + powf((y - 0.36f) / 0.25f, 2);
    float body = powf((x - 0.5f - sway * 0.4f) / 0.27f, 2) + powf((y - 1.05f) / 0.42f, 2);
    float eye = fminf(powf((x - 0.462f - sway) / 0.011f, 2), powf((x - 0.538f - sway) / 0.011f, 2)) + powf((y - 0.40f) / 0.017f, 2);
    float mouth = powf((x - 0.5f - sway) / 0.038f, 2) + powf((y - 0.535f - fabsf(sway) * 0.3f) / 0.013f, 2);
    if (eye < 1) { out[0] = 50; out[1] = 128; out[2] = 128; }
    else if (mouth < 1) { out[0] = 96; out[1] = 112; out[2] = 168; }
    else if (face < 1) { out[0] = (int)(look ? 176 - 24 * face : 146 - 22 * face); out[1] = 108; out[2] = 152; }
    else if (hair < 1 && y < 0.5f) { out[0] = look ? 205 : 44; out[1] = 126; out[2] = 131; }
    else if (body < 1) { out[0] = look ? 96 : 214; out[1] = look ? 118 : 130; out[2] = look ? 150 : 124; }
    else {
        int shelf = look ? (x > 0.72f && y > 0.15f && y < 0.62f) : (x < 0.24f && y > 0.18f && y < 0.7f);
        int base = look ? 168 : 186;
        out[0] = (int)(base - 34 * y + 8 * sinf(x * 40) * sinf(y * 23)) - (shelf ? 46 + (int)(20 * sinf(x * 260)) : 0);
        out[1] = look ? 118 : 128; out[2] = look ? 138 : 126;
    }
}

static void draw_pixels(uint8_t *frame, unsigned x0, unsigned x1, float sway, int look) {
    for (unsigned y = 0; y < height; y++)
        for (unsigned x = x0 & ~1u; x < x1; x += 2) {
            int c[3];
            colour((float)x / width, (float)y / height, sway, look, c);
            uint8_t *p = frame + ((size_t)y * width + x) * 2;
            p[0] = p[2] = (uint8_t)clamp(c[0]); p[1] = (uint8_t)c[1]; p[3] = (uint8_t)c[2];
        }
}

/* The next frame of a clip. It is read, not mapped: what is mapped counts as the app's memory. */
static void play(uint8_t *frame, const char *clip) {
    enum { CLIP_FRAMES = 300 };
    static int file = -1;
    static FILE *sent;
    if (file < 0) {
        file = NEXT(open)(clip, O_RDONLY | O_CLOEXEC);
        const char *log = getenv("BEDSIDE_FAKE_CAMERA_SENT");
        if (log) sent = fopen(log, "we");
    }
    unsigned number = sequence % CLIP_FRAMES;
    size_t size = (size_t)width * height * 2;
    if (pread(file, frame, size, (off_t)(number * size)) != (ssize_t)size) memset(frame, 128, size);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!sent) return;
    fprintf(sent, "%u,%.1f\n", number, now.tv_sec * 1e3 + now.tv_nsec / 1e6);
    fflush(sent);
}

static void draw(uint8_t *frame) {
    const char *clip = getenv("BEDSIDE_FAKE_CAMERA_CLIP");
    if (clip) { play(frame, clip); return; }
    const char *which = getenv("BEDSIDE_FAKE_CAMERA_LOOK");
    int look = which && *which == '1';
    /* Sixteen poses, drawn once: a camera must not cost what is measured. */
    enum { POSES = 16 };
    size_t size = (size_t)width * height * 2;
    if (!background) {
        background = malloc(size * POSES);
        for (int pose = 0; pose < POSES; pose++)
            draw_pixels(background + size * pose, 0, width, 0.02f * sinf(pose * 6.2832f / POSES), look);
    }
    memcpy(frame, background + size * ((sequence / 3) % POSES), size);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint32_t ms = (uint32_t)((uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    uint64_t code = ms | (uint64_t)(((ms ^ ms >> 8 ^ ms >> 16 ^ ms >> 24) & 0xff) ^ 0x5a) << 32;
    unsigned side = width / BITS;
    for (int bit = 0; bit < BITS; bit++)
        for (unsigned y = 0; y < side; y++)
            for (unsigned x = 0; x < side; x++) {
                uint8_t *p = frame + ((size_t)y * width + bit * side + x) * 2;
                p[0] = code >> bit & 1 ? 235 : 16; p[1] = 128;
            }
}

/* A frame as the camera's kind has it; gives its bytes. */
static size_t fill(uint8_t *frame) {
    if (is_kind("mjpeg")) {
        int file = NEXT(open)(getenv("BEDSIDE_FAKE_CAMERA_JPEG"), O_RDONLY);
        ssize_t length = read(file, frame, 65536);
        NEXT(close)(file);
        sequence++;
        return length < 0 ? 0 : (size_t)length;
    }
    draw(frame);
    if (stride() == width * 2) return frame_bytes();
    for (unsigned y = height; y-- > 0;) memmove(frame + (size_t)y * stride(), frame + (size_t)y * width * 2, width * 2);
    return frame_bytes();
}

static void describe(struct v4l2_pix_format *f) {
    if (is_kind("mjpeg")) { width = 64; height = 48; }
    f->width = width; f->height = height; f->pixelformat = pixels(); f->field = V4L2_FIELD_NONE;
    f->bytesperline = stride(); f->sizeimage = frame_bytes(); f->colorspace = V4L2_COLORSPACE_SRGB;
}

static int arm(void) {
    long period = streaming ? 1000000000L / FPS : 0;
    struct itimerspec t = {{0, period}, {0, period}};
    return timerfd_settime(camera, 0, &t, 0);
}

static int control(unsigned long request, void *arg) {
    switch ((uint32_t)request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *c = arg;
        memset(c, 0, sizeof *c);
        strcpy((char *)c->driver, "fake"); strcpy((char *)c->card, "Fake camera"); strcpy((char *)c->bus_info, "platform:fake");
        c->version = 0x50000;
        c->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        c->capabilities = c->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *f = arg;
        if (f->index || f->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        strcpy((char *)f->description, "The only one"); f->flags = 0; f->pixelformat = pixels();
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *f = arg;
        if (f->index >= 2 || f->pixel_format != pixels()) return fail(EINVAL);
        if (is_kind("stepwise")) {
            if (f->index) return fail(EINVAL);
            f->type = V4L2_FRMSIZE_TYPE_STEPWISE;
            f->stepwise = (struct v4l2_frmsize_stepwise){160, 1920, 16, 120, 1080, 8};
            return 0;
        }
        f->type = V4L2_FRMSIZE_TYPE_DISCRETE; f->discrete.width = sizes[f->index].w; f->discrete.height = sizes[f->index].h;
        return 0;
    }
    case VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *f = arg;
        if (f->index || f->pixel_format != pixels()) return fail(EINVAL);
        if (is_kind("stepwise")) {
            f->type = V4L2_FRMIVAL_TYPE_STEPWISE;
            f->stepwise = (struct v4l2_frmival_stepwise){{1, 30}, {1, 5}, {0, 0}};
            return 0;
        }
        if (is_kind("ntsc")) {
            f->type = V4L2_FRMIVAL_TYPE_DISCRETE; f->discrete.numerator = 1001; f->discrete.denominator = 30000;
            return 0;
        }
        f->type = V4L2_FRMIVAL_TYPE_DISCRETE; f->discrete.numerator = 1; f->discrete.denominator = FPS;
        return 0;
    }
    case VIDIOC_G_FMT: describe(&((struct v4l2_format *)arg)->fmt.pix); return 0;
    case VIDIOC_S_FMT: case VIDIOC_TRY_FMT: {
        struct v4l2_format *f = arg;
        int i = f->fmt.pix.width <= 640;
        if ((uint32_t)request == (uint32_t)VIDIOC_S_FMT && sizes[i].w != width) {
            width = sizes[i].w; height = sizes[i].h; free(background); background = NULL;
        }
        describe(&f->fmt.pix);
        return 0;
    }
    case VIDIOC_G_PARM: case VIDIOC_S_PARM: {
        struct v4l2_streamparm *p = arg;
        p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        p->parm.capture.timeperframe.numerator = 1; p->parm.capture.timeperframe.denominator = FPS;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *r = arg;
        queued = 0;
        if (memory >= 0) {
            if (frames) munmap(frames, buffer_size * BUFFERS);
            NEXT(close)(memory);
            memory = -1; frames = NULL;
        }
        if (!r->count) return 0;
        r->count = BUFFERS;
        buffer_size = (frame_bytes() + 65536 + 4095) & ~4095UL;
        memory = memfd_create("fake-camera", 0);
        if (ftruncate(memory, buffer_size * BUFFERS)) return -1;
        frames = mmap(NULL, buffer_size * BUFFERS, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
        return frames == MAP_FAILED ? -1 : 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *b = arg;
        if (b->index >= BUFFERS) return fail(EINVAL);
        b->length = is_kind("mjpeg") ? 65536 : frame_bytes(); b->m.offset = b->index * buffer_size; b->flags = 0;
        return 0;
    }
    case VIDIOC_QBUF: {
        struct v4l2_buffer *b = arg;
        if (b->index >= BUFFERS || queued >= BUFFERS) return fail(EINVAL);
        queue[queued++] = b->index;
        return 0;
    }
    case VIDIOC_DQBUF: {
        struct v4l2_buffer *b = arg;
        uint64_t ticks;
        if (read(camera, &ticks, 8) != 8 || !queued) return fail(EAGAIN);
        int i = queue[0];
        memmove(queue, queue + 1, --queued * sizeof *queue);
        size_t used = fill(frames + i * buffer_size);
        if (is_kind("stall") && sequence >= 30) { streaming = 0; arm(); }
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        b->index = i; b->bytesused = used; b->length = is_kind("mjpeg") ? 65536 : frame_bytes(); b->m.offset = i * buffer_size;
        b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC; b->field = V4L2_FIELD_NONE;
        b->timestamp.tv_sec = t.tv_sec; b->timestamp.tv_usec = t.tv_nsec / 1000; b->sequence = sequence++;
        return 0;
    }
    case VIDIOC_STREAMON: streaming = 1; return arm();
    case VIDIOC_STREAMOFF: streaming = 0; queued = 0; return arm();
    default: return fail((uint32_t)request == (uint32_t)VIDIOC_QUERYCTRL ? EINVAL : ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...) {
    va_list args; va_start(args, request); void *arg = va_arg(args, void *); va_end(args);
    return fd >= 0 && fd == camera ? control(request, arg) : NEXT(ioctl)(fd, request, arg);
}

/* The crate v4l calls ioctl through syscall(2). */
long syscall(long number, ...) {
    va_list args; va_start(args, number);
    long a = va_arg(args, long), b = va_arg(args, long), c = va_arg(args, long), d = va_arg(args, long), e = va_arg(args, long), f = va_arg(args, long);
    va_end(args);
    if (number == SYS_ioctl && (int)a >= 0 && (int)a == camera) return control((uint32_t)b, (void *)c);
    static long (*next)(long, ...);
    if (!next) next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return next(number, a, b, c, d, e, f);
}

/* Without dlsym, which maps memory itself. */
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    if (fd >= 0 && fd == camera) fd = memory;
    static long (*next)(long, ...);
    static __thread int looking;
    if (!next && !looking) {
        looking = 1;
        next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
        looking = 0;
    }
    if (next) return (void *)next(SYS_mmap, at, length, protection, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap(at, length, protection, flags, fd, offset);
}
