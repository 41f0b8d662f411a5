// SPDX-License-Identifier: Apache-2.0
// Stands in for libkmod.so.2 in the guest image. lspci asks libkmod only which modules could drive a device; the real one
// brings libcrypto along, which is twice the rest of the image. kmod_new() fails here, and lspci goes on without.
// Build with kmod-stub.map: lspci asks for the symbol version LIBKMOD_5.

void *kmod_new(const char *dirname, const char *const *config_paths) {
  (void)dirname;
  (void)config_paths;
  return 0;
}

// Never called, because there is no context to call them with; the dynamic linker wants them to exist.
void kmod_list_next(void) {}
void kmod_load_resources(void) {}
void kmod_module_get_module(void) {}
void kmod_module_get_name(void) {}
void kmod_module_new_from_lookup(void) {}
void kmod_module_unref(void) {}
void kmod_module_unref_list(void) {}
void kmod_unref(void) {}
