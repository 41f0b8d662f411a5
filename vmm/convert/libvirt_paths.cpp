// SPDX-License-Identifier: Apache-2.0
// Which elements and attributes of a domain (libvirt.org/formatdomain.html) the readers know. What
// is not in the table is told, so that a reader that lacks something leaves nothing out in silence.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/domain_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

enum class PathKind {
  kRead,     ///< a reader takes the attributes that are listed, and its text
  kKeyless,  ///< it needs no key, whatever it says
  kDeep,     ///< the same of all below it
};

struct DomainPath {
  std::string_view path;  ///< below <domain>; "*" at its end: each that has no row of its own
  PathKind kind = PathKind::kRead;
  std::string_view read = {};     ///< attributes that a reader takes; "." is the text
  std::string_view keyless = {};  ///< attributes that need no key
};

using enum PathKind;

constexpr DomainPath kPaths[] = {
    {"", kRead, "type", "id"},
    {"name", kRead, "."},
    {"title", kRead, "."},
    {"description", kRead, "."},
    {"genid", kKeyless},
    {"memory", kRead, "unit .", "dumpCore"},
    {"currentMemory", kKeyless},
    {"vcpu", kRead, ". current cpuset", "placement"},
    {"vcpus", kDeep},
    {"iothreads", kKeyless},
    {"iothreadids", kDeep},
    {"defaultiothread", kDeep},
    {"on_lockfailure", kKeyless},
    {"on_reboot", kRead, "."},
    {"on_poweroff", kRead, "."},
    {"on_crash", kRead, "."},
    {"pm", kDeep},
    {"perf", kDeep},
    {"memoryBacking", kRead},
    {"memoryBacking/hugepages", kRead},
    {"memoryBacking/hugepages/page", kRead, "size unit", "nodeset"},
    {"memoryBacking/*", kKeyless},
    {"cputune", kRead},
    {"cputune/vcpupin", kRead, "vcpu cpuset"},
    {"numatune", kRead},
    {"numatune/memory", kRead, "nodeset", "mode placement"},
    {"numatune/memnode", kRead, "cellid nodeset", "mode"},
    {"os", kRead, "firmware"},
    {"os/type", kRead, "arch machine ."},
    {"os/firmware", kRead},
    {"os/firmware/feature", kRead, "enabled name"},
    {"os/loader", kRead, ". type secure", "readonly stateless format"},
    {"os/nvram", kRead, ". template", "type format templateFormat"},
    {"os/nvram/source", kRead, "file"},
    {"os/boot", kRead, "dev"},
    {"os/kernel", kRead, "."},
    {"os/initrd", kRead, "."},
    {"os/cmdline", kRead, "."},
    {"os/bootmenu", kRead, "enable", "timeout"},
    {"os/bios", kKeyless},
    {"os/smbios", kKeyless},
    {"os/acpi", kRead},
    {"features", kRead},
    {"features/kvm", kRead},
    {"features/kvm/hidden", kRead, "state"},
    {"features/kvm/*", kKeyless},
    {"features/hyperv", kRead, "mode"},
    {"features/hyperv/vendor_id", kRead, "state value"},
    {"features/hyperv/spinlocks", kRead, "state", "retries"},
    {"features/hyperv/stimer", kRead, "state"},
    {"features/hyperv/stimer/direct", kKeyless},
    {"features/hyperv/tlbflush", kRead, "state"},
    {"features/hyperv/tlbflush/*", kKeyless},
    {"features/hyperv/*", kRead, "state"},
    {"features/acpi", kKeyless},
    {"features/apic", kKeyless},
    {"features/pae", kKeyless},
    {"features/hap", kKeyless},
    {"features/pmu", kKeyless},
    {"features/vmport", kKeyless},
    {"features/ioapic", kKeyless},
    {"features/ps2", kKeyless},
    {"features/privnet", kKeyless},
    {"features/vmcoreinfo", kKeyless},
    {"features/smm", kDeep},
    {"features/msrs", kKeyless},
    {"cpu", kRead, "mode", "check match migratable deprecated_features"},
    {"cpu/vendor", kKeyless},
    {"cpu/topology", kRead, "threads", "sockets dies clusters cores"},
    {"cpu/cache", kKeyless},
    {"cpu/maxphysaddr", kKeyless},
    {"cpu/feature", kRead, "policy name"},
    {"cpu/numa", kRead},
    {"cpu/numa/cell", kRead, "cpus memory unit", "id memAccess discard"},
    {"cpu/numa/cell/caches", kDeep},
    {"cpu/numa/interconnects", kDeep},
    {"clock", kRead, "offset", "adjustment basis timezone start"},
    {"clock/timer", kRead, "name present", "tickpolicy track mode frequency"},
    {"clock/timer/catchup", kKeyless},
    {"sysinfo", kRead, "type"},
    {"sysinfo/oemStrings", kRead},
    {"sysinfo/oemStrings/entry", kRead, "."},
    {"sysinfo/entry", kRead, "name file ."},
    {"devices", kRead},
    {"devices/emulator", kKeyless},
    {"devices/rng", kDeep},
    {"devices/nvram", kDeep},
    {"devices/controller", kDeep},
    {"devices/memballoon", kDeep},
    {"devices/video", kDeep},
    {"devices/watchdog", kDeep},
    {"devices/iommu", kDeep},
    {"devices/input", kDeep},
    {"devices/tpm", kDeep},
    {"devices/panic", kRead, "", "model"},
    {"devices/vsock", kRead, "", "model"},
    {"devices/vsock/cid", kRead, "auto address"},
    {"devices/vsock/driver", kKeyless},
    {"devices/disk", kRead, "device", "type snapshot model sgio rawio"},
    {"devices/disk/driver", kRead, "type cache discard queues",
     "name io iothread error_policy rerror_policy detect_zeroes copy_on_read event_idx ioeventfd "
     "ats iommu packed queue_size page_per_vq discard_no_unref"},
    {"devices/disk/driver/*", kDeep},
    {"devices/disk/source", kRead, "file dev", "index startupPolicy fdgroup"},
    {"devices/disk/source/seclabel", kKeyless},
    {"devices/disk/source/reservations", kDeep},
    {"devices/disk/source/slices", kDeep},
    {"devices/disk/target", kRead, "bus", "dev removable tray rotation_rate"},
    {"devices/disk/iotune", kRead},
    {"devices/disk/iotune/*", kRead, "."},
    {"devices/disk/serial", kRead, "."},
    {"devices/disk/wwn", kKeyless},
    {"devices/disk/vendor", kKeyless},
    {"devices/disk/product", kKeyless},
    {"devices/disk/readonly", kRead},
    {"devices/disk/transient", kRead, "", "shareBacking"},
    {"devices/disk/boot", kRead, "order", "loadparm"},
    {"devices/disk/backingStore", kDeep},
    {"devices/disk/backenddomain", kKeyless},
    {"devices/disk/blockio", kKeyless},
    {"devices/disk/geometry", kKeyless},
    {"devices/interface", kRead, "type", "managed trustGuestRxFilters"},
    {"devices/interface/mac", kRead, "address", "type check currentAddress"},
    {"devices/interface/source", kRead, "bridge network", "portid portgroup"},
    {"devices/interface/source/address", kRead, "domain bus slot function", "type"},
    {"devices/interface/model", kRead, "type"},
    {"devices/interface/target", kRead, "", "dev managed"},
    {"devices/interface/driver", kRead, "queues iommufd",
     "name txmode ioeventfd event_idx rx_queue_size tx_queue_size iommu ats packed page_per_vq "
     "rss rss_hash_report"},
    {"devices/interface/driver/*", kKeyless},
    {"devices/interface/mtu", kRead, "size"},
    {"devices/interface/link", kKeyless},
    {"devices/interface/backend", kDeep},
    {"devices/interface/portForward", kRead, "proto address"},
    {"devices/interface/portForward/range", kRead, "start to end exclude"},
    {"devices/interface/rom", kRead, "bar file enabled"},
    {"devices/interface/acpi", kKeyless},
    {"devices/hostdev", kRead, "type managed", "mode model sgio rawio"},
    {"devices/hostdev/source", kRead, "", "writeFiltering startupPolicy guestReset"},
    {"devices/hostdev/source/address", kRead, "domain bus slot function", "type"},
    {"devices/hostdev/driver", kRead, "iommufd", "name model"},
    {"devices/hostdev/rom", kRead, "bar file enabled"},
    {"devices/hostdev/boot", kRead, "order"},
    {"devices/hostdev/iommufd", kRead},
    {"devices/hostdev/acpi", kKeyless},
    {"devices/hostdev/readonly", kKeyless},
    {"devices/hostdev/shareable", kKeyless},
    {"devices/serial", kRead, "type"},
    {"devices/serial/source", kRead, "path", "mode append"},
    {"devices/serial/source/seclabel", kKeyless},
    {"devices/serial/target", kRead, "", "type port"},
    {"devices/serial/target/model", kKeyless},
    {"devices/serial/protocol", kKeyless},
    {"devices/console", kRead, "type", "tty"},
    {"devices/console/source", kRead, "path", "mode append"},
    {"devices/console/target", kRead, "", "type port"},
    {"devices/console/target/model", kKeyless},
    {"devices/console/protocol", kKeyless},
    {"devices/channel", kDeep},
    {"devices/filesystem", kRead, "", "type accessmode fmode dmode multidevs model"},
    {"devices/filesystem/driver", kRead, "type", "name format wrpolicy queue ats iommu packed"},
    {"devices/filesystem/source", kRead, "dir"},
    {"devices/filesystem/target", kRead, "dir"},
    {"devices/filesystem/readonly", kRead},
    {"qemu:commandline", kRead},
    {"qemu:commandline/qemu:arg", kRead, "value"},
    {"qemu:override", kRead},
    {"qemu:override/qemu:device", kRead, "alias"},
    {"qemu:override/qemu:device/qemu:frontend", kRead},
    {"qemu:override/qemu:device/qemu:frontend/qemu:property", kRead, "name value", "type"},
};

const DomainPath* find_path(std::string_view path) {
  const auto find = [](std::string_view wanted) {
    const auto* const found =
        std::find_if(std::begin(kPaths), std::end(kPaths),
                     [&](const DomainPath& one) { return one.path == wanted; });
    return found == std::end(kPaths) ? nullptr : found;
  };
  if (const auto* const exact = find(path)) {
    return exact;
  }
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? nullptr
                                         : find(std::string(path.substr(0, slash + 1)) + "*");
}

/// Whether a name is one of those in a text with spaces between.
bool is_listed(std::string_view name, std::string_view list) {
  while (!list.empty()) {
    const auto end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == name) {
      return true;
    }
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

/// Where a device is in the guest, and what libvirt calls it: gpuvm gives places itself.
bool is_place_of(std::string_view name, std::string_view parent) {
  return name == "alias" || (name == "address" && !parent.ends_with("/source"));
}

class UnknownTeller {
 public:
  explicit UnknownTeller(DomainParts& parts) : parts_(parts) {}

  void tell_below(pugi::xml_node node, const std::string& path) {
    for (const auto child : node.children()) {
      if (child.type() == pugi::node_element && !parts_.told.contains(child.offset_debug()) &&
          !is_place_of(child.name(), path)) {
        tell_element(child, path.empty() ? child.name() : path + '/' + child.name());
      }
    }
  }

  void tell_element(pugi::xml_node node, const std::string& path) {
    const auto* const known = find_path(path);
    if (known == nullptr) {
      tell(parts_, "", node, advice::kUnknown);
    } else if (known->kind == kDeep) {
      list_deep(node);
    } else if (known->kind == kKeyless) {
      parts_.guest.needs_no_key(shown_element(node));
      tell_below(node, path);
    } else {
      tell_attributes(node, *known);
      tell_below(node, path);
    }
  }

  void tell_attributes(pugi::xml_node node, const DomainPath& known) {
    for (const auto attribute : node.attributes()) {
      const std::string_view name = attribute.name();
      const std::string shown = fmt::format("<{} {}='{}'>", node.name(), name, attribute.value());
      if (is_listed(name, known.keyless) || name.starts_with("xmlns:")) {
        parts_.guest.needs_no_key(shown);
      } else if (!is_listed(name, known.read)) {
        parts_.guest.note("", shown, parts_.xml.line_of(node), advice::kUnknown);
      }
    }
    const std::string_view text = trimmed(node.text().get());
    if (!text.empty() && !is_listed(".", known.read)) {
      parts_.guest.note("", fmt::format("<{}>{}", node.name(), text), parts_.xml.line_of(node),
                        advice::kUnknown);
    }
  }

 private:
  void list_deep(pugi::xml_node node) {
    parts_.guest.needs_no_key(shown_element(node));
    for (const auto child : node.children()) {
      if (child.type() == pugi::node_element && !is_place_of(child.name(), "")) {
        list_deep(child);
      }
    }
  }

  DomainParts& parts_;
};

}  // namespace

void tell_unknown(DomainParts& parts, pugi::xml_node top) {
  UnknownTeller teller(parts);
  if (parts.guest.is_whole) {
    teller.tell_attributes(top, kPaths[0]);
    teller.tell_below(top, "");
    return;
  }
  for (const auto node : top.children()) {  // devices alone
    if (node.type() != pugi::node_element || parts.told.contains(node.offset_debug())) {
      continue;
    }
    const std::string device = fmt::format("devices/{}", node.name());
    teller.tell_element(node, find_path(device) != nullptr ? device : node.name());
  }
}

}  // namespace gpuvm::convert
