// SPDX-License-Identifier: Apache-2.0
// A plugin of the lab's QEMU that mends a fault of the device virtio-gpu-gl with a GTK window (10.0): a reset, which comes in the thread
// of a CPU, switches the window's picture off there and leaves the window's surface current in that thread
// (gtk_egl_set_scanout_mode). The main thread then gets EGL_BAD_ACCESS, the renderer has no context, and QEMU ends with a
// segmentation fault. A guest that draws when its GPU is reset shows it after a reset or two.
//
// Here a CPU's thread works in a context of its own, which shares the textures and has no surface. QEMU and its libraries call EGL
// through libepoxy's table of functions; this plugin changes one of them.

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef void *EglHandle;  // display, surface, context or config; NULL is none
typedef unsigned MakeCurrent(EglHandle display, EglHandle draw, EglHandle read, EglHandle context);

// EGL 1.5, table of constants.
enum {
  kConfigId = 0x3028,
  kNone = 0x3038,
  kContextClientType = 0x3097,
  kContextProfileMask = 0x30FD,
  kCoreProfile = 1,
};

bool qemu_in_vcpu_thread(void);

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int qemu_plugin_version = QEMU_PLUGIN_API;
EXPORTED int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static struct {
  MakeCurrent *make_current;
  unsigned (*bind_api)(unsigned api);
  unsigned (*query_context)(EglHandle display, EglHandle context, int attribute, int *value);
  unsigned (*choose_config)(EglHandle display, const int *attributes, EglHandle *configs, int size, int *count);
  EglHandle (*create_context)(EglHandle display, EglHandle config, EglHandle share, const int *attributes);
} egl;

static _Thread_local EglHandle own_context;

static EglHandle make_own_context(EglHandle display, EglHandle other) {
  int api = 0, config_id = 0, count = 0;
  EglHandle config = NULL;
  egl.query_context(display, other, kContextClientType, &api);
  egl.query_context(display, other, kConfigId, &config_id);
  egl.bind_api((unsigned)api);
  egl.choose_config(display, (const int[]){kConfigId, config_id, kNone}, &config, 1, &count);
  return egl.create_context(display, config, other, (const int[]){kContextProfileMask, kCoreProfile, kNone});
}

static unsigned make_current(EglHandle display, EglHandle draw, EglHandle read, EglHandle context) {
  if (context == NULL || !qemu_in_vcpu_thread()) {
    return egl.make_current(display, draw, read, context);
  }
  if (own_context == NULL) {
    own_context = make_own_context(display, context);
  }
  return egl.make_current(display, NULL, NULL, own_context);
}

static void *find(void *library, const char *name) {
  void *symbol = library == NULL ? NULL : dlsym(library, name);
  if (symbol == NULL) {
    fprintf(stderr, "lab-gl-plugin: there is no %s\n", name);
    exit(1);
  }
  return symbol;
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
  void *library = dlopen("libEGL.so.1", RTLD_NOW);
  (void)id, (void)info, (void)argc, (void)argv;
  *(void **)&egl.make_current = find(library, "eglMakeCurrent");
  *(void **)&egl.bind_api = find(library, "eglBindAPI");
  *(void **)&egl.query_context = find(library, "eglQueryContext");
  *(void **)&egl.choose_config = find(library, "eglChooseConfig");
  *(void **)&egl.create_context = find(library, "eglCreateContext");
  *(MakeCurrent **)find(dlopen("libepoxy.so.0", RTLD_NOW), "epoxy_eglMakeCurrent") = make_current;
  return 0;
}
