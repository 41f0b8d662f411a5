/* SPDX-License-Identifier: Apache-2.0 */
/* An OpenGL context without window or surface, on a device that is named: EGL_EXT_platform_device,
 * EGL_EXT_device_drm_render_node, EGL_MESA_device_software, EGL_KHR_surfaceless_context,
 * EGL_KHR_no_config_context. */
#include "gpu_work.h"

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEVICES = 16 };

static int is_wanted(EGLDeviceEXT device, const char* node) {
  PFNEGLQUERYDEVICESTRINGEXTPROC query =
      (PFNEGLQUERYDEVICESTRINGEXTPROC)eglGetProcAddress("eglQueryDeviceStringEXT");
  const char* extensions = query(device, EGL_EXTENSIONS);
  const char* own_node;
  if (strcmp(node, "software") == 0) {
    return extensions && strstr(extensions, "EGL_MESA_device_software");
  }
  if (!extensions || !strstr(extensions, "EGL_EXT_device_drm_render_node")) {
    return 0;
  }
  own_node = query(device, EGL_DRM_RENDER_NODE_FILE_EXT);
  return own_node && strcmp(own_node, node) == 0;
}

static EGLDeviceEXT find_device(const char* node) {
  PFNEGLQUERYDEVICESEXTPROC query =
      (PFNEGLQUERYDEVICESEXTPROC)eglGetProcAddress("eglQueryDevicesEXT");
  EGLDeviceEXT devices[MAX_DEVICES];
  EGLint count = 0;
  if (!query || !query(MAX_DEVICES, devices, &count)) {
    die("EGL lists no devices");
  }
  for (EGLint i = 0; i < count; ++i) {
    if (is_wanted(devices[i], node)) {
      return devices[i];
    }
  }
  die("none of EGL's %d devices is %s", count, node);
}

void open_context(const char* node) {
  static const EGLint attributes[] = {
      EGL_CONTEXT_MAJOR_VERSION,
      4,
      EGL_CONTEXT_MINOR_VERSION,
      3,
      EGL_CONTEXT_OPENGL_PROFILE_MASK,
      EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT,
      EGL_NONE,
  };
  EGLDisplay display = eglGetPlatformDisplay(EGL_PLATFORM_DEVICE_EXT, find_device(node), NULL);
  EGLContext context;
  if (display == EGL_NO_DISPLAY || !eglInitialize(display, NULL, NULL) ||
      !eglBindAPI(EGL_OPENGL_API)) {
    die("EGL does not open %s: error 0x%x", node, eglGetError());
  }
  context = eglCreateContext(display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, attributes);
  if (context == EGL_NO_CONTEXT ||
      !eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context)) {
    die("EGL makes no OpenGL 4.3 context on %s: error 0x%x", node, eglGetError());
  }
  printf("RENDERER %s\n", (const char*)glGetString(GL_RENDERER));
  printf("VERSION %s\n", (const char*)glGetString(GL_VERSION));
}
