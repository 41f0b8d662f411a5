// SPDX-License-Identifier: Apache-2.0
#include "firmware/fdt/tree_writer.hpp"

#include <libfdt.h>

namespace gpuvm {
namespace {

constexpr std::size_t kTreeMax = std::size_t{1} << 20;  // 64 functions take some 20 KiB

void append_big_endian(std::vector<std::byte>& out, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) {
    out.push_back(static_cast<std::byte>(value >> 8 * i));
  }
}

}  // namespace

TreeWriter::TreeWriter() : buffer_(kTreeMax) {
  check(fdt_create(buffer_.data(), static_cast<int>(buffer_.size())), "the tree");
  check(fdt_finish_reservemap(buffer_.data()), "the tree");
  begin("");
}

void TreeWriter::check(int status, const std::string& what) {
  if (status < 0 && failure_ == 0) {
    failure_ = status;
    failed_ = what;
  }
}

void TreeWriter::begin(const std::string& name) {
  check(fdt_begin_node(buffer_.data(), name.c_str()), name);
}

void TreeWriter::end() {
  check(fdt_end_node(buffer_.data()), "the end of a node");
}

void TreeWriter::bytes(const char* name, std::span<const std::byte> value) {
  check(fdt_property(buffer_.data(), name, value.data(), static_cast<int>(value.size())), name);
}

void TreeWriter::empty(const char* name) {
  bytes(name, {});
}

void TreeWriter::text(const char* name, const std::string& value) {
  bytes(name, std::as_bytes(std::span(value.c_str(), value.size() + 1)));
}

void TreeWriter::cells(const char* name, std::span<const std::uint32_t> values) {
  std::vector<std::byte> out;
  for (const std::uint32_t value : values) {
    append_big_endian(out, value, 4);
  }
  bytes(name, out);
}

void TreeWriter::wide(const char* name, std::span<const std::uint64_t> values) {
  std::vector<std::byte> out;
  for (const std::uint64_t value : values) {
    append_big_endian(out, value, 8);
  }
  bytes(name, out);
}

Result<std::vector<std::byte>> TreeWriter::finish() {
  end();
  check(fdt_finish(buffer_.data()), "the tree");
  if (failure_ == 0) {
    check(fdt_pack(buffer_.data()), "the tree");
  }
  if (failure_ != 0) {
    return fail(ErrorKind::kInternal, "The device tree does not take {}: {}", failed_,
                fdt_strerror(failure_));
  }
  const void* const tree = buffer_.data();
  buffer_.resize(fdt_totalsize(tree));
  return std::move(buffer_);
}

}  // namespace gpuvm
