// SPDX-License-Identifier: Apache-2.0
// Fuzz target: what stands in the files of /run/gpuvm, whoever wrote them and however much of it
// was cut short. Byte 0 says which kind. What must hold: what was read can be written and is read
// as the same again; a name that becomes a part of a path has no slash; a record that is cut short
// is dirty.
#include <string>
#include <string_view>

#include "tests/fuzz/input.hpp"
#include "vmm/host/binding_record.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/login/running_guest.hpp"

namespace gpuvm {
namespace {

using fuzz::must;

void read_binding(std::string_view text) {
  const auto record = BindingRecord::parse(text);
  if (!record) {
    return;
  }
  must(text.find(kStateEnd) != std::string_view::npos, "a whole record has an end");
  must(record->driver.find('/') == std::string::npos &&
           record->driver_override.find('/') == std::string::npos,
       "nothing climbs out of a folder");
  const auto again = BindingRecord::parse(record->to_text());
  must(again && again->driver == record->driver &&
           again->driver_override == record->driver_override &&
           again->bar_sizes == record->bar_sizes,
       "a binding is read as it was written");
}

void read_claim(std::string_view text) {
  const auto record = DeviceRecord::parse(text);
  const bool has_end = text.find(kStateEnd) != std::string_view::npos;
  must(text.empty() || has_end || !record.dirty.empty(), "what is cut short is dirty");
  const auto written = record.to_text();
  must(written.size() <= 4096, "a record has a length");
  const auto again = DeviceRecord::parse(written);
  must(again.pid == record.pid && again.cause == record.cause &&
           again.dirty.empty() == record.dirty.empty(),
       "a claim is read as it was written");
  must(again.to_text() == written, "and says the same again");
}

void read_guest(std::string_view text) {
  const auto record = GuestRecord::parse(text);
  if (!record) {
    return;
  }
  const auto again = GuestRecord::parse(record->to_text());
  must(again && again->pid == record->pid && again->port == record->port &&
           again->cid == record->cid,
       "a guest is read as it was written");
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) {
    return 0;
  }
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      gpuvm::read_binding(text);
      break;
    case 1:
      gpuvm::read_claim(text);
      break;
    default:
      gpuvm::read_guest(text);
  }
  return 0;
}
