// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/disk.hpp"

namespace gpuvm {

Status Disk::carry_out(const DiskOperation& operation) {
  switch (operation.kind) {
    case DiskOperation::Kind::kRead:
      return read(operation.offset, operation.pieces);
    case DiskOperation::Kind::kWrite:
      return write(operation.offset, operation.pieces);
    case DiskOperation::Kind::kFlush:
      return flush();
    case DiskOperation::Kind::kDiscard:
      return discard(operation.offset, operation.length);
    case DiskOperation::Kind::kWriteZeroes:
      return write_zeroes(operation.offset, operation.length, operation.unmap);
  }
  return {};
}

}  // namespace gpuvm
