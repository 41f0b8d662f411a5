// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/disk_format.hpp"

namespace gpuvm {
namespace {

struct Signature {
  std::size_t offset;
  std::string_view bytes;
  std::string_view format;
};

// Sources: QEMU's docs/interop/qcow2.txt; VMware's "Virtual Disk Format 1.1"; VirtualBox's
// VDICore.h; [MS-VHDX] 2.2.1.
constexpr Signature kSignatures[] = {
    {0, "QFI\xfb", "qcow2"},
    {0, "KDMV", "vmdk"},
    {0, "# Disk DescriptorFile", "vmdk"},
    {0x40, "\x7f\x10\xda\xbe", "vdi"},
    {0, "vhdxfile", "vhdx"},
};

}  // namespace

std::string_view container_format(std::span<const char> start) {
  const std::string_view text(start.data(), start.size());
  for (const auto& signature : kSignatures) {
    if (text.size() >= signature.offset &&
        text.substr(signature.offset, signature.bytes.size()) == signature.bytes) {
      return signature.format;
    }
  }
  return {};
}

}  // namespace gpuvm
