// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/generation_id.hpp"

#include <sys/random.h>

#include <algorithm>

#include "firmware/acpi/aml_resource.hpp"

namespace gpuvm {
namespace {

/// Of the specification, by which guests know the device.
constexpr std::string_view kCompatibleId = "VM_Gen_Counter";
/// "The generation id has changed."
constexpr std::uint64_t kIdChanged = 0x80;
constexpr std::uint64_t kLow32 = 0xffff'ffff;

/// ADDR is a package of the low and the high half of the address.
aml::Term id_device() {
  const aml::Term address = aml::package({aml::integer(kGenerationIdBase.value() & kLow32),
                                          aml::integer(kGenerationIdBase.value() >> 32)});
  return aml::device("VGEN", {aml::name("_HID", aml::string("GPUV0001")),
                              aml::name("_CID", aml::string(kCompatibleId)),
                              aml::name("_DDN", aml::string(kCompatibleId)),
                              aml::name("_UID", aml::integer(0)), aml::name("ADDR", address)});
}

/// ACPI 6.5, 5.6.9.3: _EVT gets the number of the interrupt that came.
aml::Term event_device() {
  const aml::Term is_ours = aml::equal(aml::argument(0), aml::integer(kGenerationIdGsi.value()));
  return aml::device(
      "GED0",
      {aml::name("_HID", aml::string("ACPI0013")), aml::name("_UID", aml::integer(0)),
       aml::name("_CRS",
                 aml::resource_template({aml::interrupt({kGenerationIdGsi}, aml::kIsaInterrupt)})),
       aml::method(
           "_EVT", 1,
           {aml::if_(is_ours, {aml::notify(aml::path("\\_SB.VGEN"), aml::integer(kIdChanged))})},
           aml::Serialized::kYes)});
}

}  // namespace

Result<GenerationId::Id> GenerationId::random() {
  Id id{};
  if (::getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return fail_errno(ErrorKind::kHost, "Cannot make a generation id for the guest");
  }
  return id;
}

void GenerationId::change(const Id& id) {
  {
    const MutexLock lock(mutex_);
    id_ = id;
    ++changes_;
  }
  pins_.set_level(kGenerationIdGsi, true);
  pins_.set_level(kGenerationIdGsi, false);
}

IoStatus GenerationId::read(std::uint64_t offset, std::span<std::byte> out) {
  if (offset >= kSize || out.size() > kSize - offset) {
    return IoStatus::kInvalidSize;
  }
  const MutexLock lock(mutex_);
  std::copy_n(id_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  return IoStatus::kOk;
}

IoStatus GenerationId::write(std::uint64_t, std::span<const std::byte>) {
  return IoStatus::kInvalidRegister;
}

aml::Terms GenerationId::acpi() const {
  return {id_device(), event_device()};
}

void GenerationId::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.field("changes", changes_);
}

}  // namespace gpuvm
