// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/host_devices.hpp"

#include <algorithm>
#include <iterator>

#include "devices/passthrough/passthrough_function.hpp"
#include "devices/physical/vfio/vfio_host.hpp"
#include "devices/physical/vfio_user/vfio_user_host.hpp"
#include "vmm/base/log.hpp"
#include "vmm/host/bar_claims.hpp"
#include "vmm/machine/devices/guest_function_reset.hpp"
#include "vmm/owner/owner.hpp"

namespace gpuvm {
namespace {

FunctionPointers local_functions(const FunctionPointers& functions) {
  FunctionPointers local;
  std::copy_if(functions.begin(), functions.end(), std::back_inserter(local),
               [](const HostFunction* function) { return !function->is_remote(); });
  return local;
}

HeldFunction held_function_of(const HostFunction& function) {
  HeldFunction held;
  held.bdf = function.host;
  if (function.reset.method) {
    held.reset_method = static_cast<std::uint8_t>(*function.reset.method);
  }
  held.settle = function.reset.settle;
  held.link_width = function.reset.link_width;
  held.vf_token = function.vf_token;
  return held;
}

/// Out of `handed`; an empty one for a function that gpuvm has not bound.
DriverBinding::Handed take_record(std::vector<DriverBinding::Handed>& handed, const Bdf& bdf) {
  const auto found = std::find_if(handed.begin(), handed.end(),
                                  [&bdf](const auto& each) { return each.bdf == bdf; });
  if (found == handed.end()) {
    return {.bdf = bdf};
  }
  DriverBinding::Handed taken = std::move(*found);
  handed.erase(found);
  return taken;
}

OpenedHost opened_host_of(std::unique_ptr<VfioHost> host) {
  OpenedHost opened;
  opened.devices = host->devices();
  opened.group_fds = host->group_fds();
  opened.duplicate = [raw = host.get()] { return raw->duplicate_files(); };
  opened.host = std::move(host);
  return opened;
}

Status check_same(const std::vector<HostFunction>& functions, const CardFiles& files) {
  const auto is_same = [](const HostFunction& ours, const CardFiles::Function& theirs) {
    return ours.host == theirs.bdf;
  };
  return std::equal(functions.begin(), functions.end(), files.functions.begin(),
                    files.functions.end(), is_same)
             ? Status()
             : Status(fail(ErrorKind::kInternal,
                           "The card has other functions now than when the guest started: it can "
                           "come to one that starts anew"));
}

}  // namespace

OwnedFunction::OwnedFunction(HostFunction host) : host_(std::move(host)) {}

OwnedFunction::~OwnedFunction() = default;

void OwnedFunction::show(std::unique_ptr<GuestFunctionReset> reset,
                         std::unique_ptr<PassthroughFunction> guest) {
  reset_ = std::move(reset);
  guest_ = std::move(guest);
}

void OwnedFunction::hide() {
  guest_.reset();
  reset_.reset();
}

HostOpeners HostOpeners::real(const HostSystem& host) {
  HostOpeners openers;
  openers.vfio = [&host](const FunctionPointers& functions) -> Result<OpenedHost> {
    std::vector<VfioFunction> wanted;
    for (const HostFunction* const function : functions) {
      wanted.push_back({.bdf = function->host, .vf_token = function->vf_token});
    }
    return opened_host_of(TRY(VfioHost::open(wanted, host)));
  };
  openers.vfio_user = [](const std::vector<std::string>& sockets) -> Result<OpenedHost> {
    auto opened = TRY(VfioUserHost::open(sockets));
    OpenedHost result;
    result.devices = opened->devices();
    result.host = std::move(opened);
    return result;
  };
  openers.adopt = [&host](CardFiles files) -> Result<OpenedHost> {
    return opened_host_of(TRY(VfioHost::adopt(std::move(files), host)));
  };
  return openers;
}

HostDevices::HostDevices(const HostSystem& host, std::vector<HostFunction> functions,
                         DeviceClaims claims, HostOpeners openers)
    : host_(host), openers_(std::move(openers)), claims_(std::move(claims)) {
  for (auto& function : functions) {
    functions_.push_back(std::make_unique<OwnedFunction>(std::move(function)));
  }
}

Result<std::unique_ptr<HostDevices>> HostDevices::create(const HostSystem& host,
                                                         std::vector<HostFunction> functions,
                                                         DeviceClaims claims) {
  return create(host, std::move(functions), std::move(claims), HostOpeners::real(host));
}

Result<std::unique_ptr<HostDevices>> HostDevices::create(const HostSystem& host,
                                                         std::vector<HostFunction> functions,
                                                         DeviceClaims claims, HostOpeners openers) {
  std::unique_ptr<HostDevices> devices(
      new HostDevices(host, std::move(functions), std::move(claims), std::move(openers)));
  TRY(devices->bind());
  TRY(devices->open());
  return devices;
}

Result<std::unique_ptr<HostDevices>> HostDevices::create(const HostSystem& host,
                                                         std::vector<HostFunction> functions,
                                                         DeviceClaims claims, HostOpeners openers,
                                                         DriverBinding binding) {
  std::unique_ptr<HostDevices> devices(
      new HostDevices(host, std::move(functions), std::move(claims), std::move(openers)));
  devices->binding_.emplace(std::move(binding));
  TRY(devices->open());
  return devices;
}

Result<std::unique_ptr<HostDevices>> HostDevices::adopt(const HostSystem& host,
                                                        std::vector<HostFunction> functions,
                                                        CardFiles files, Owner& owner,
                                                        HostOpeners openers) {
  TRY(check_same(functions, files));
  std::vector<DeviceClaim> claims;
  for (const HostFunction& function : functions) {
    claims.push_back(TRY(DeviceClaim::adopt(host, function.host, UniqueFd())));
  }
  std::unique_ptr<HostDevices> devices(
      new HostDevices(host, std::move(functions),
                      DeviceClaims::adopt("its owner", std::move(claims)), std::move(openers)));
  devices->claims_.mark_at(owner);
  devices->hosts_.retrain_by(owner);
  devices->vfio_ = TRY(devices->openers_.adopt(std::move(files)));
  devices->hosts_.add(*devices->vfio_->host, devices->vfio_->devices);
  TRY(devices->assign(devices->vfio_->devices, false));
  return devices;
}

Result<CardFiles> HostDevices::hand_out() {
  TRY(check_hidden());
  if (!vfio_ || remote_ || !vfio_->duplicate) {
    return fail(ErrorKind::kInternal, "Only functions that VFIO has opened can be handed on");
  }
  auto files = TRY(vfio_->duplicate());
  close();
  return files;
}

Status HostDevices::bind() {
  std::vector<BindRequest> managed;
  for (const HostFunction* const function : host_functions()) {
    if (function->is_remote()) {
      continue;
    }
    const auto chosen = function->reset.method;
    TRY(check_open_is_safe(host_, function->host, chosen));
    for (const std::string& advice : open_advice(host_, function->host, chosen)) {
      log::warn("{}", advice);
    }
    if (function->managed) {
      managed.push_back({.bdf = function->host, .bar_size = function->bar_size});
    }
  }
  binding_.emplace(TRY(DriverBinding::create(host_, managed)));
  for (const Bdf& bdf : addresses_of(host_functions())) {
    TRY(check_bars_free(host_, bdf));  // again: kernels before 6.0 leave frame buffers to VFIO
  }
  return {};
}

Status HostDevices::open() {
  const auto all = host_functions();
  if (const auto local = local_functions(all); !local.empty()) {
    vfio_ = TRY(openers_.vfio(local));
    hosts_.add(*vfio_->host, vfio_->devices);
    TRY(assign(vfio_->devices, false));
  }
  if (const auto sockets = sockets_of(all); !sockets.empty()) {
    remote_ = TRY(openers_.vfio_user(sockets));
    hosts_.add(*remote_->host, remote_->devices);
    TRY(assign(remote_->devices, true));
  }
  return {};
}

Status HostDevices::assign(const std::vector<PhysicalDevice*>& devices, bool are_remote) {
  std::size_t next = 0;
  for (const auto& function : functions_) {
    if (function->host().is_remote() != are_remote) {
      continue;
    }
    if (next == devices.size()) {
      return fail(ErrorKind::kInternal, "{} was not opened", function->name());
    }
    function->device_ = devices[next++];
  }
  return {};
}

bool HostDevices::has_resized(std::string_view name) const {
  const auto bdf = Bdf::parse(name);
  return bdf && binding_ && binding_->has_resized(*bdf);
}

void HostDevices::close() {
  for (const auto& function : functions_) {
    function->device_ = nullptr;
  }
  hosts_.clear();
  remote_.reset();
  vfio_.reset();
}

Status HostDevices::check_hidden() const {
  for (const auto& function : functions_) {
    if (function->is_shown()) {
      return fail(ErrorKind::kInternal, "{} cannot be opened again while a guest has it",
                  function->name());
    }
  }
  return {};
}

Result<std::vector<SlotCycle>> HostDevices::slots_of(std::span<const std::string> functions) const {
  const auto ours = addresses_of(host_functions());
  std::vector<SlotCycle> slots;
  for (const std::string& name : functions) {
    const auto bdf = std::find_if(ours.begin(), ours.end(),
                                  [&name](const Bdf& each) { return each.to_string() == name; });
    if (bdf == ours.end()) {
      continue;  // a server's, which has no slot
    }
    auto slot = TRY(SlotCycle::of(host_, *bdf, ours));
    const bool is_known = std::any_of(slots.begin(), slots.end(), [&slot](const SlotCycle& each) {
      return each.port() == slot.port();
    });
    if (!is_known) {
      slots.push_back(std::move(slot));
    }
  }
  return slots;
}

Status HostDevices::cycle(std::span<SlotCycle> slots, SlotMethod method) {
  TRY(check_hidden());
  close();
  for (SlotCycle& slot : slots) {
    TRY(slot.run(method, openers_.sleep));
  }
  // What the kernel has made anew has its own choice of reset methods, unless that was kept.
  for (const HostFunction* const function : host_functions()) {
    if (!function->is_remote()) {
      TRY(check_open_is_safe(host_, function->host, function->reset.method));
    }
  }
  return reopen();
}

Status HostDevices::reopen() {
  TRY(check_hidden());
  close();
  auto opened = open();
  if (!opened) {
    close();
  }
  return opened;
}

FunctionPointers HostDevices::host_functions() const {
  FunctionPointers all;
  for (const auto& function : functions_) {
    all.push_back(&function->host());
  }
  return all;
}

std::vector<PhysicalDevice*> HostDevices::devices() const {
  std::vector<PhysicalDevice*> devices;
  for (const auto& function : functions_) {
    if (function->is_open()) {
      devices.push_back(&function->device());
    }
  }
  return devices;
}

Status HostDevices::map_memory(const GuestMemory& memory, const MapIsUnwanted& is_unwanted) {
  for (const auto& region : memory.regions()) {
    TRY_CONTEXT(hosts_.map_in_steps(
                    Iova(region.range.base().value()),
                    {.bytes = region.host, .fd = memory.fd(), .file_offset = region.file_offset},
                    is_unwanted),
                "Mapping guest memory for the devices");
  }
  return {};
}

/// docs/security-inside.md
Status HostDevices::hand_over(Owner& owner) {
  auto records = binding_ ? binding_->hand_over() : std::vector<DriverBinding::Handed>();
  claims_.mark_at(owner);
  hosts_.retrain_by(owner);
  for (const HostFunction* const function : host_functions()) {
    if (function->is_remote()) {
      continue;
    }
    HeldFunction held = held_function_of(*function);
    DriverBinding::Handed record = take_record(records, function->host);
    held.is_resized = record.is_resized;
    TRY_CONTEXT(
        owner.hold_function(held, claims_.hand_over(function->host), std::move(record.file)),
        "Handing over " + function->name());
  }
  for (StateFile& file : claims_.hand_over_sockets()) {
    const std::string name = file.name();
    TRY(owner.hold_state(name, file.hand_over()));
  }
  return {};
}

void HostDevices::inspect(InspectNode& node) const {
  for (const auto& function : functions_) {
    auto& child = node.child(function->name());
    child.field("port", std::uint64_t{function->host().port});
    child.field("function", std::uint64_t{function->host().function});
    child.field("managed", function->host().managed);
  }
}

}  // namespace gpuvm
