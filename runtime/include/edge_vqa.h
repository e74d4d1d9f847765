/* edge_vqa: answers questions in Vietnamese about a picture of a dish, on the device. Version 1 of the C interface.

   A complete program (cc kiosk.c -ledge_vqa):

       #include <edge_vqa.h>
       #include <stdio.h>

       int main(int argc, char** argv) {
         static unsigned char frame[480 * 640 * 3];  // an RGB frame of the camera
         evqa* vqa = NULL;
         evqa_scene* scene = NULL;
         evqa_answer answer;
         evqa_image image = {EVQA_RGB, 640, 480, {frame}, {640 * 3}};
         if (argc != 3) return 2;
         if (evqa_open(argv[1], 0, &vqa) || evqa_scene_create(vqa, &scene) || evqa_look(vqa, &image, scene) ||
             evqa_ask(vqa, scene, argv[2], &answer)) {
           fprintf(stderr, "%s\n", evqa_error());
           return 1;
         }
         printf("%s %.2f\n", answer.top[0].text, answer.top[0].probability);
         evqa_scene_free(scene);
         evqa_close(vqa);
         return 0;
       }

   Ownership. evqa_open, evqa_open_memory, evqa_clone and evqa_scene_create make something that the caller gives back with
   evqa_close or evqa_scene_free (both take NULL). Pictures and questions stay the caller's and are not kept. Texts that
   come back (answers, version, names) belong to the library: answers live until the model's last handle is closed, the
   others for ever. A scene may outlive the handle it was made with, and may be used with every handle of that model.

   Threads. A handle computes for one caller at a time; further callers wait. For answers at the same time take a clone
   for each thread: clones share the weights, each has its own workers. A scene may be asked about from several threads,
   but must not be asked about while evqa_look fills it. evqa_error is each thread's own.

   Memory. Nothing is allocated after evqa_open, evqa_clone and evqa_scene_create have returned, except that evqa_resize,
   evqa_jpeg_pixels and evqa_look_jpeg take memory for the time of the call (for a JPEG of 12 megapixels a fifth of a MB,
   for the widest some MB). */
#ifndef EDGE_VQA_H
#define EDGE_VQA_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define EVQA_API __declspec(dllexport)
#else
#define EVQA_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define EVQA_INTERFACE 1 /* changes when a program must be compiled anew */

typedef struct evqa evqa;             /* a handle: a model, its scratch memory and worker threads */
typedef struct evqa_scene evqa_scene; /* a picture that has been looked at */

typedef enum evqa_status {
  EVQA_OK = 0,
  EVQA_ERROR_ARGUMENT = 1, /* a null pointer, a size out of range, an unknown format */
  EVQA_ERROR_FILE = 2,     /* the model file cannot be read */
  EVQA_ERROR_MODEL = 3,    /* the model file is damaged, or made for another version */
  EVQA_ERROR_MEMORY = 4,
  EVQA_ERROR_ISA = 5,      /* EDGE_VQA_ISA names a level that this processor or this build lacks */
  EVQA_ERROR_QUESTION = 6, /* the question is empty, too long, or not UTF-8 */
  EVQA_ERROR_PICTURE = 7,  /* the JPEG is damaged, or of a kind that is not decoded here */
} evqa_status;

typedef enum evqa_format {
  EVQA_RGB = 0,  /* 3 bytes a pixel, one plane */
  EVQA_BGR = 1,
  EVQA_GREY = 2, /* 1 byte a pixel */
  EVQA_NV12 = 3, /* plane 0: luma; plane 1: U V pairs at half size each way; ITU-R BT.601, 16 to 235 */
  EVQA_YUYV = 4, /* Y0 U Y1 V for every two pixels, one plane; ITU-R BT.601, 16 to 235 */
} evqa_format;

typedef struct evqa_image {
  int32_t format;          /* evqa_format */
  int32_t width, height;   /* pixels, 1 to 65535 each; even widths for YUYV */
  const uint8_t* plane[2]; /* the second only for EVQA_NV12 */
  ptrdiff_t stride[2];     /* bytes from a row to the next; 0: rows without gaps */
} evqa_image;

#define EVQA_TOP 10

typedef struct evqa_choice {
  const char* text; /* UTF-8 */
  float probability;
  int32_t index; /* which of the model's answers, from 0 */
} evqa_choice;

typedef struct evqa_answer {
  evqa_choice top[EVQA_TOP]; /* most probable first */
  int32_t count;             /* how many of `top` are filled */
  int32_t understood;        /* 0: asked about something else, or half of the words are unknown; top[0] is then a guess */
  int32_t unknown_words;
} evqa_answer;

typedef struct evqa_about {
  int32_t side;    /* pixels: a picture is resized to side x side */
  int32_t cells;   /* the attention map is cells x cells */
  int32_t words;   /* ids from 0 to words - 1 */
  int32_t answers; /* logits are answers + 1: the last stands for "no answer" */
  int32_t attention; /* 0: the model looks everywhere alike */
  int32_t threads;
  float temperature;
  const char* isa;     /* the level of kernels in use: scalar avx2 avx512vnni neon neondot neoni8mm neon32 */
  const char* details; /* the file's own JSON about itself */
} evqa_about;

/* Loads a model. threads: 1 to 64, 0 chooses (at most 4, at most the physical cores and the cgroup's quota). The file is
   mapped; it must not change while the handle lives. evqa_open_memory does not copy: the bytes begin at a multiple of 8 and
   stay until the model's last handle and scene are given back. */
EVQA_API evqa_status evqa_open(const char* path, int threads, evqa** out);
EVQA_API evqa_status evqa_open_memory(const void* bytes, size_t size, int threads, evqa** out);
EVQA_API evqa_status evqa_clone(evqa* handle, int threads, evqa** out);
EVQA_API void evqa_close(evqa* handle);
EVQA_API evqa_status evqa_describe(const evqa* handle, evqa_about* out);

EVQA_API evqa_status evqa_scene_create(const evqa* handle, evqa_scene** out);
EVQA_API void evqa_scene_free(evqa_scene* scene);

/* Resizes the picture (antialiased, first across, then down, each to the pixels of Pillow's BILINEAR) and encodes it. */
EVQA_API evqa_status evqa_look(evqa* handle, const evqa_image* image, evqa_scene* scene);

/* Answers one question, as typed: with accents or without, composed or decomposed, any case. */
EVQA_API evqa_status evqa_ask(evqa* handle, const evqa_scene* scene, const char* question, evqa_answer* out);

/* The same from word ids (1 to 64 of them), without the words: logits [answers + 1], attention [cells * cells], row by
   row from the top, summing to 1. Either may be null. */
EVQA_API evqa_status evqa_ask_words(evqa* handle, const evqa_scene* scene, const int32_t* ids, int32_t count,
                                    float* logits, float* attention);
/* Where the model looked when this question was asked: the attention of evqa_ask_words, for text. */
EVQA_API evqa_status evqa_attention(evqa* handle, const evqa_scene* scene, const char* question, float* attention);

/* The scene's features [cells * cells][channels], uint8 or, where the model's precision is float32, the bytes of floats in
   the processor's order, for comparing engines. size: bytes that `out` holds. */
EVQA_API evqa_status evqa_features(const evqa* handle, const evqa_scene* scene, uint8_t* out, size_t size);

/* Only the resize: side x side RGB pixels, 3 bytes each, into `out`. */
EVQA_API evqa_status evqa_resize(const evqa_image* image, int32_t side, uint8_t* out, size_t size);

/* The pixels of an ordinary JPEG: side x side RGB, 3 bytes each, into `out`. Ordinary: baseline or extended sequential,
   8 bits, grey or Y Cb Cr in one scan, sampled 1 or 2 to 1, at most 50 megapixels. It is decoded at 1/8, 1/4 or 1/2 where
   that leaves one and a half times `side` each way, resized as by evqa_look, and turned upright as its EXIF data say: bit
   for bit the pixels that Pillow makes with libjpeg-turbo. EVQA_ERROR_PICTURE: anything else (progressive, CMYK, damaged, cut off);
   another decoder may know what to do with it. The bytes are not trusted. side: 1 to 1024; size of out: side * side * 3
   bytes or more; what is in it after an error means nothing. */
EVQA_API evqa_status evqa_jpeg_pixels(const void* bytes, size_t size, int32_t side, uint8_t* out, size_t out_size);

/* evqa_look at an ordinary JPEG. After an error the scene has not been looked at. */
EVQA_API evqa_status evqa_look_jpeg(evqa* handle, const void* bytes, size_t size, evqa_scene* scene);

/* Where the time of a look goes. rgb: side * side * 3 bytes. Steps: the pixels' way in, the network's (one convolution, or
   a block of three that run as one), the positions. most: room in `steps`; 64 is enough for the models of the package. */
typedef struct evqa_step {
  const char* name;
  int32_t first_layer, layers; /* of the model file */
  int64_t macs;                /* multiply-accumulates */
  int64_t nanoseconds;
} evqa_step;
EVQA_API evqa_status evqa_profile_look(evqa* handle, const uint8_t* rgb, evqa_scene* scene, evqa_step* steps,
                                       int32_t most, int32_t* count);

/* The most multiply-accumulates of the model's precision a second that this level's convolutions reach on one thread, on data in the
   nearest cache, over some milliseconds: what a step's rate may be compared with. */
EVQA_API double evqa_rate(const evqa* handle);

EVQA_API const char* evqa_error(void);    /* why the last call of this thread failed; "" if it did not */
EVQA_API const char* evqa_version(void);  /* "0.5.0" */
EVQA_API int evqa_interface(void);        /* EVQA_INTERFACE of the library */
EVQA_API const char* evqa_levels(void);   /* levels of this build that the processor runs, best first, spaces between */
EVQA_API const char* evqa_features_of_processor(void); /* for people */
EVQA_API int evqa_default_threads(void);

#ifdef __cplusplus
}
#endif
#endif
