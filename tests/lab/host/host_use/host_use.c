// SPDX-License-Identifier: Apache-2.0
// A host that uses a card, for tests: takes the memory that the parameters say under a name, as a
// frame buffer of the firmware has it (/proc/iomem), and is a PCI driver, host_use, whose remove
// does not come back while the parameter hold is 1, as nvidia's while its GPU is open. Functions
// are bound to it by driver_override. Licence of the loaded module: dual, as for
// tests/lab/guest/acpi-rom.
#include <linux/delay.h>
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/pci.h>

static unsigned long address;
module_param(address, ulong, 0444);
static unsigned long bytes;
module_param(bytes, ulong, 0444);
static char* name = "efifb";
module_param(name, charp, 0444);
static bool hold;
module_param(hold, bool, 0644);

static int probe(struct pci_dev* device, const struct pci_device_id* id) {
  return 0;
}

static void remove(struct pci_dev* device) {
  while (READ_ONCE(hold))
    msleep(20);
}

static const struct pci_device_id nothing[] = {{}};

static struct pci_driver driver = {
    .name = "host_use",
    .id_table = nothing,
    .probe = probe,
    .remove = remove,
};

static int __init start(void) {
  int error;
  if (bytes && !request_mem_region(address, bytes, name))
    return -EBUSY;
  error = pci_register_driver(&driver);
  if (error && bytes)
    release_mem_region(address, bytes);
  return error;
}

static void __exit end(void) {
  pci_unregister_driver(&driver);
  if (bytes)
    release_mem_region(address, bytes);
}

module_init(start);
module_exit(end);
MODULE_DESCRIPTION("A host that uses a card, for tests of gpuvm");
MODULE_LICENSE("Dual MIT/GPL");
