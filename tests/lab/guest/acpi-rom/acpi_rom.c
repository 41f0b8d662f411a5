// SPDX-License-Identifier: Apache-2.0
// A test driver: finds the PCI function that the parameter names and its ACPI companion as GPU
// drivers do, and makes /proc/acpi_rom of its method _ROM. A read of N bytes at offset X is one
// call of _ROM (X, N); it returns what the method returned, never more. Licence of the loaded module:
// dual, because the symbols that drivers need are for GPL modules.
#include <linux/acpi.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>

static int bus = 1;
module_param(bus, int, 0444);
static struct pci_dev* device;
static acpi_handle method;

static ssize_t rom_read(struct file* file, char __user* to, size_t count, loff_t* at) {
  union acpi_object values[2] = {
      {.integer = {.type = ACPI_TYPE_INTEGER, .value = *at}},
      {.integer = {.type = ACPI_TYPE_INTEGER, .value = count}},
  };
  struct acpi_object_list arguments = {2, values};
  struct acpi_buffer answer = {ACPI_ALLOCATE_BUFFER, NULL};
  union acpi_object* object;
  ssize_t result = -EIO;
  if (ACPI_FAILURE(acpi_evaluate_object(method, NULL, &arguments, &answer)))
    return -EIO;
  object = answer.pointer;
  if (object && object->type == ACPI_TYPE_BUFFER && object->buffer.length <= count) {
    result = object->buffer.length;
    if (copy_to_user(to, object->buffer.pointer, object->buffer.length))
      result = -EFAULT;
    else
      *at += result;
  }
  kfree(answer.pointer);
  return result;
}

static const struct proc_ops operations = {
    .proc_read = rom_read,
    .proc_lseek = default_llseek,
};

static int __init start(void) {
  device = pci_get_domain_bus_and_slot(0, bus, PCI_DEVFN(0, 0));
  if (!device)
    return -ENODEV;
  if (!ACPI_HANDLE(&device->dev) ||
      ACPI_FAILURE(acpi_get_handle(ACPI_HANDLE(&device->dev), "_ROM", &method)) ||
      !proc_create("acpi_rom", 0400, NULL, &operations)) {
    pci_dev_put(device);
    return -ENOENT;
  }
  return 0;
}

static void __exit end(void) {
  remove_proc_entry("acpi_rom", NULL);
  pci_dev_put(device);
}

module_init(start);
module_exit(end);
MODULE_DESCRIPTION("Option ROM by ACPI, for tests of gpuvm");
MODULE_LICENSE("Dual MIT/GPL");
