// SPDX-License-Identifier: Apache-2.0
// An EFI driver for the option ROM of the lab's GPU, which has none for EFI: a fixture of tests/lab/uefi_screen_test.sh. It shows
// one mode of 640x480 on QEMU's standard VGA (QEMU, docs/specs/standard-vga.rst) under a device id that no driver inside OVMF
// knows, so that a screen that is lit was lit by the ROM. It says so on port 0x402, the firmware's debug port.
// Specification: UEFI 2.10, 11.1 (driver binding), 12.9 (graphics output), 14.4 (PCI I/O), 10.3.3.6 (_ADR device path).
// Missing: Stop(); the driver stays until the boot services end.
#include <stddef.h>
#include <stdint.h>

// build_rom.sh gives these.
#ifndef GOP_VENDOR
#error "GOP_VENDOR and GOP_DEVICE say which function the driver takes"
#endif

typedef uint64_t Status;
typedef void *Handle;
#define ERROR_BIT ((Status)1 << 63)
#define SUCCESS ((Status)0)
#define INVALID_PARAMETER (ERROR_BIT | 2)
#define UNSUPPORTED (ERROR_BIT | 3)
#define OUT_OF_RESOURCES (ERROR_BIT | 9)

typedef struct {
  uint32_t a;
  uint16_t b, c;
  uint8_t d[8];
} Guid;

typedef struct {
  char header[24];
  void *tpl_and_pages[5];
  Status (*allocate_pool)(uint32_t type, uint64_t size, void **buffer);
  void *pool_and_events[7];
  Status (*install_protocol_interface)(Handle *handle, const Guid *protocol, uint32_t type, void *interface);
  void *reinstall_and_uninstall[2];
  Status (*handle_protocol)(Handle handle, const Guid *protocol, void **interface);
  void *reserved_to_disconnect[15];
  Status (*open_protocol)(Handle handle, const Guid *protocol, void **interface, Handle agent, Handle controller,
                          uint32_t attributes);
  Status (*close_protocol)(Handle handle, const Guid *protocol, Handle agent, Handle controller);
} BootServices;
_Static_assert(offsetof(BootServices, handle_protocol) == 24 + 16 * 8, "UEFI 2.10, 4.4");
_Static_assert(offsetof(BootServices, open_protocol) == 24 + 32 * 8, "UEFI 2.10, 4.4");

typedef struct {
  char header_to_runtime[96];
  BootServices *boot;
} SystemTable;

typedef struct PciIo {
  void *poll_memory_and_io[6];
  Status (*config_read)(struct PciIo *self, uint32_t width, uint32_t offset, uint64_t count, void *buffer);
  void *config_write_to_location[8];
  Status (*attributes)(struct PciIo *self, uint32_t operation, uint64_t attributes, uint64_t *result);
} PciIo;
enum { kWidth32 = 2, kAttributesEnable = 2, kAttributeMemory = 0x200 };
enum { kByChild = 0x08, kByDriver = 0x10, kBootServicesData = 4 };

typedef struct Binding {
  Status (*supported)(struct Binding *self, Handle controller, void *remaining);
  Status (*start)(struct Binding *self, Handle controller, void *remaining);
  Status (*stop)(struct Binding *self, Handle controller, uint64_t count, Handle *children);
  uint32_t version;
  Handle image;
  Handle handle;
} Binding;

typedef struct {
  uint32_t version, width, height, format, masks[4], pixels_per_line;
} ModeInformation;
typedef struct {
  uint32_t max_mode, mode;
  ModeInformation *information;
  uint64_t information_size, frame_buffer, frame_buffer_size;
} Mode;
typedef struct Gop {
  Status (*query_mode)(struct Gop *self, uint32_t mode, uint64_t *size, ModeInformation **information);
  Status (*set_mode)(struct Gop *self, uint32_t mode);
  Status (*blt)(struct Gop *self, uint32_t *buffer, uint32_t operation, uint64_t from_x, uint64_t from_y, uint64_t to_x,
                uint64_t to_y, uint64_t width, uint64_t height, uint64_t bytes_per_line);
  Mode *mode;
} Gop;
enum { kFill, kVideoToBuffer, kBufferToVideo, kVideoToVideo };
enum { kFormatBgr = 1, kWidth = 640, kHeight = 480 };

static const Guid kBindingGuid = {0x18a031ab, 0xb443, 0x4d1a, {0xa5, 0xc0, 0x0c, 0x09, 0x26, 0x1e, 0x9f, 0x71}};
static const Guid kGopGuid = {0x9042a9de, 0x23dc, 0x4a38, {0x96, 0xfb, 0x7a, 0xde, 0xd0, 0x80, 0x51, 0x6a}};
static const Guid kPciIoGuid = {0x4cf5b200, 0x68b8, 0x4ca5, {0x9e, 0xec, 0xb2, 0x3e, 0x3f, 0x50, 0x02, 0x9a}};
static const Guid kDevicePathGuid = {0x09576e91, 0x6d3f, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};

static BootServices *boot;
static volatile uint8_t *registers;   // BAR 2
static volatile uint32_t *pixels;     // BAR 0
static ModeInformation information = {
    .width = kWidth, .height = kHeight, .format = kFormatBgr, .pixels_per_line = kWidth};
static Mode mode = {.max_mode = 1,
                    .information = &information,
                    .information_size = sizeof(information),
                    .frame_buffer_size = kWidth * kHeight * 4};

static void say(const char *text) {
  for (; *text != 0; ++text) {
    __asm__ volatile("outb %0, %1" : : "a"(*text), "Nd"((uint16_t)0x402));
  }
}

// The Bochs display interface, a register of 16 bits each from 0x500 of BAR 2 on, and the VGA ports from 0x3c0, at 0x400.
static void set_display(unsigned index, uint16_t value) { *(volatile uint16_t *)(registers + 0x500 + 2 * index) = value; }
enum { kXres = 1, kYres = 2, kBitsPerPixel = 3, kEnable = 4, kBank = 5, kVirtualWidth = 6, kXOffset = 8, kYOffset = 9 };

static void show_mode(void) {
  set_display(kEnable, 0);
  set_display(kBank, 0);
  set_display(kXOffset, 0);
  set_display(kYOffset, 0);
  set_display(kBitsPerPixel, 32);
  set_display(kXres, kWidth);
  set_display(kYres, kHeight);
  set_display(kVirtualWidth, kWidth);
  set_display(kEnable, 0x41);        // on, with a linear frame buffer
  (void)registers[0x400 + 0x1a];     // port 0x3da: the attribute controller expects an index now
  registers[0x400] = 0x20;           // port 0x3c0: the screen is on
}

static Status query_mode(Gop *self, uint32_t number, uint64_t *size, ModeInformation **out) {
  (void)self;
  if (number != 0 || size == NULL || out == NULL) {
    return INVALID_PARAMETER;
  }
  if (boot->allocate_pool(kBootServicesData, sizeof(information), (void **)out) != SUCCESS) {
    return OUT_OF_RESOURCES;
  }
  **out = information;
  *size = sizeof(information);
  return SUCCESS;
}

static Status set_mode(Gop *self, uint32_t number) {
  (void)self;
  if (number != 0) {
    return UNSUPPORTED;
  }
  show_mode();
  for (unsigned i = 0; i < kWidth * kHeight; ++i) {
    pixels[i] = 0;
  }
  return SUCCESS;
}

static int is_inside(uint64_t x, uint64_t y, uint64_t width, uint64_t height) {
  return width <= kWidth && x <= kWidth - width && height <= kHeight && y <= kHeight - height;
}

// One line of a block transfer.
static void blt_line(uint32_t *line, uint32_t operation, uint32_t color, uint64_t from, uint64_t to, uint64_t width) {
  for (uint64_t i = 0; i < width; ++i) {
    const uint64_t x = operation == kVideoToVideo && from < to ? width - 1 - i : i;  // lines may overlap
    switch (operation) {
      case kFill: pixels[to + x] = color; break;
      case kVideoToBuffer: line[x] = pixels[from + x]; break;
      case kBufferToVideo: pixels[to + x] = line[x]; break;
      default: pixels[to + x] = pixels[from + x]; break;
    }
  }
}

static Status blt(Gop *self, uint32_t *buffer, uint32_t operation, uint64_t from_x, uint64_t from_y, uint64_t to_x,
                  uint64_t to_y, uint64_t width, uint64_t height, uint64_t bytes_per_line) {
  (void)self;
  const int reads_screen = operation == kVideoToBuffer || operation == kVideoToVideo;
  if (operation > kVideoToVideo || width == 0 || height == 0 || (reads_screen && !is_inside(from_x, from_y, width, height)) ||
      (operation != kVideoToBuffer && !is_inside(to_x, to_y, width, height))) {
    return INVALID_PARAMETER;
  }
  const uint64_t line_pixels = bytes_per_line == 0 ? width : bytes_per_line / 4;
  const uint64_t buffer_x = operation == kVideoToBuffer ? to_x : from_x;
  const uint64_t buffer_y = operation == kVideoToBuffer ? to_y : from_y;
  const int uses_buffer = operation == kVideoToBuffer || operation == kBufferToVideo;
  for (uint64_t i = 0; i < height; ++i) {
    const uint64_t y = operation == kVideoToVideo && from_y < to_y ? height - 1 - i : i;
    blt_line(uses_buffer ? buffer + (buffer_y + y) * line_pixels + buffer_x : NULL, operation,
             operation == kFill ? *buffer : 0, (from_y + y) * kWidth + from_x, (to_y + y) * kWidth + to_x, width);
  }
  return SUCCESS;
}

static Gop gop = {query_mode, set_mode, blt, &mode};

static Status supported(Binding *self, Handle controller, void *remaining) {
  (void)remaining;
  PciIo *pci;
  uint32_t ids = 0;
  Status status = boot->open_protocol(controller, &kPciIoGuid, (void **)&pci, self->handle, controller, kByDriver);
  if (status != SUCCESS) {
    return status;
  }
  status = pci->config_read(pci, kWidth32, 0, 1, &ids);
  boot->close_protocol(controller, &kPciIoGuid, self->handle, controller);
  return status == SUCCESS && ids == ((uint32_t)GOP_DEVICE << 16 | GOP_VENDOR) ? SUCCESS : UNSUPPORTED;
}

// The controller's device path with a node for its one display (10.3.3.6; ACPI 6.5, B.4.2: a VGA display).
static void *display_path(const uint8_t *parent) {
  static const uint8_t kTail[] = {2, 3, 8, 0, 0x00, 0x01, 0x01, 0x80, 0x7f, 0xff, 4, 0};
  uint64_t length = 0;
  while (parent[length] != 0x7f) {
    length += parent[length + 2] | (uint64_t)parent[length + 3] << 8;
  }
  uint8_t *path;
  if (boot->allocate_pool(kBootServicesData, length + sizeof(kTail), (void **)&path) != SUCCESS) {
    return NULL;
  }
  for (uint64_t i = 0; i < length + sizeof(kTail); ++i) {
    path[i] = i < length ? parent[i] : kTail[i - length];
  }
  return path;
}

static Status find_bars(PciIo *pci) {
  uint32_t bars[3];
  Status status = pci->attributes(pci, kAttributesEnable, kAttributeMemory, NULL);
  if (status == SUCCESS) {
    status = pci->config_read(pci, kWidth32, 0x10, 3, bars);
  }
  if (status == SUCCESS) {
    mode.frame_buffer = bars[0] & ~0xfU;
    pixels = (volatile uint32_t *)mode.frame_buffer;
    registers = (volatile uint8_t *)(uint64_t)(bars[2] & ~0xfU);
  }
  return status;
}

static Status start(Binding *self, Handle controller, void *remaining) {
  (void)remaining;
  PciIo *pci;
  void *parent;
  Handle child = NULL;
  Status status = boot->open_protocol(controller, &kPciIoGuid, (void **)&pci, self->handle, controller, kByDriver);
  if (status != SUCCESS) {
    return status;
  }
  status = find_bars(pci);
  if (status == SUCCESS) {
    status = boot->handle_protocol(controller, &kDevicePathGuid, &parent);
  }
  void *path = status == SUCCESS ? display_path(parent) : NULL;
  if (path == NULL) {
    boot->close_protocol(controller, &kPciIoGuid, self->handle, controller);
    return OUT_OF_RESOURCES;
  }
  show_mode();
  boot->install_protocol_interface(&child, &kDevicePathGuid, 0, path);
  boot->install_protocol_interface(&child, &kGopGuid, 0, &gop);
  boot->open_protocol(controller, &kPciIoGuid, (void **)&pci, self->handle, child, kByChild);
  say("GOP-FROM-ROM shows 640x480\n");
  return SUCCESS;
}

static Status stop(Binding *self, Handle controller, uint64_t count, Handle *children) {
  (void)self, (void)controller, (void)count, (void)children;
  return UNSUPPORTED;
}

static Binding binding = {.supported = supported, .start = start, .stop = stop, .version = 0x10};

Status efi_main(Handle image, SystemTable *system) {
  boot = system->boot;
  binding.image = image;
  binding.handle = image;
  say("GOP-FROM-ROM was loaded\n");
  return boot->install_protocol_interface(&image, &kBindingGuid, 0, &binding);
}
