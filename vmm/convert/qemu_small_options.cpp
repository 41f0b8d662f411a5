// SPDX-License-Identifier: Apache-2.0
// Options of QEMU with little in them: names, files of the kernel, folders, the clock.
#include "vmm/convert/qemu_small_options.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostShared = 64;

/// What both, -fsdev and -virtfs, say of a folder of the host.
void read_folder(QemuParts& parts, const std::string& what, OptionList& options,
                 QemuFolder& folder) {
  folder.line = options.line();
  folder.argument = options.argument();
  folder.path = options.text("path");
  folder.read_only = options.is_on("readonly");
  if (const auto driver = options.take("fsdriver"); driver && *driver != "local") {
    folder.notes.push_back({fmt::format("{} {}", what, *driver), folder.line,
                            "folders of the host only: name it as path"});
  }
  options.needs_no_key(what, parts.guest,
                       {"security-model", "writeout", "fmode", "dmode", "multidevs"});
  options.drop_places();
  options.tell_rest(what, folder.notes);
}

}  // namespace

void serial_option(QemuParts& parts, const Word& word) {
  auto& serial = parts.guest.serial;
  const auto place = place_of_serial(parts, word);
  const bool is_second = serial && !serial->empty();
  if (place && is_second && !place->empty()) {
    parts.guest.note("console", "-serial " + word.text, word.line,
                     "there is one serial port: the first is taken; [console] virtio is a second "
                     "console");
  } else if (place && is_second) {
    parts.guest.needs_no_key("-serial " + word.text);
  } else if (place) {
    serial = place->empty() ? std::vector<std::string>() : std::vector<std::string>{*place};
  }
}

void smbios_option(QemuParts& parts, const Word& word) {
  constexpr std::string_view kCredential = "io.systemd.credential:";
  OptionList options(word, "");
  const std::string kind = options.text("type");
  bool is_told = kind != "11";
  for (const auto& value : options.take_all("value")) {
    const auto equal = value.find('=');
    if (kind == "11" && value.starts_with(kCredential) && equal != std::string::npos) {
      parts.guest.credentials.emplace_back(
          value.substr(kCredential.size(), equal - kCredential.size()), value.substr(equal + 1));
    } else {
      is_told = true;
    }
  }
  if (is_told || !options.rest().empty()) {
    parts.guest.note("", "-smbios " + word.text, word.line, advice::kSmbios);
  }
}

void fw_cfg_option(QemuParts& parts, const Word& word) {
  constexpr std::size_t kMostFwCfg = 32;
  OptionList options(word, "name");
  const std::string name = options.text("name");
  const auto file = options.take("file");
  const auto text = options.take("string");
  if (parts.guest.fw_cfg.size() >= kMostFwCfg || (!file && !text)) {
    parts.guest.note("", "-fw_cfg " + word.text, word.line, advice::kUnknown);
    return;
  }
  parts.guest.fw_cfg.emplace_back(name, file ? "file:" + *file : "string:" + text.value_or(""));
  options.tell_rest("-fw_cfg", parts.guest.notes[""]);
}

void boot_option(QemuParts& parts, const Word& word) {
  OptionList options(word, "order");
  ForeignGuest& guest = parts.guest;
  const auto order = options.take("order");
  const std::string first = order.value_or("").substr(0, 1);
  if (first == "d") {
    for (auto& disk : guest.disks) {
      if (disk.cdrom) {
        disk.boot_order = 0;
      }
    }
  }
  if (first == "n") {
    guest.note("boot", "-boot " + *order, word.line,
               "gpuvm's network cards have no boot ROM: UEFI boots by virtio-net as the "
               "firmware can, or name kernel and initrd");
  } else if (order && first != "c" && first != "d") {
    guest.note("boot", "-boot " + *order, word.line, advice::kUnknownValue);
  } else if (order) {
    guest.needs_no_key("-boot " + *order);
  }
  if (const auto menu = options.take("menu"); menu && switch_of(*menu) != false) {
    guest.note("boot", "-boot menu=" + *menu, word.line, advice::kBootMenu);
  }
  if (const auto once = options.take("once")) {
    guest.note("boot", "-boot once=" + *once, word.line,
               "what is started from is the same each time: disk.boot");
  }
  options.needs_no_key("-boot", guest, {"strict", "splash", "splash-time", "reboot-timeout"});
  options.tell_rest("-boot", guest.notes["boot"]);
}

/// "device.hostdev0.x-vga=on": a property of a device that has been named.
void set_property(QemuParts& parts, const Word& word) {
  const auto equal = word.text.find('=');
  const auto dot = word.text.find('.');
  const auto last = word.text.rfind('.', equal);
  auto& functions = parts.guest.functions;
  if (word.text.starts_with("device.") && equal != std::string::npos && last > dot) {
    const std::string id = word.text.substr(dot + 1, last - dot - 1);
    const auto function =
        std::find_if(functions.begin(), functions.end(),
                     [&](const ForeignFunction& other) { return other.id == id; });
    if (function != functions.end()) {
      std::string name = word.text.substr(last + 1, equal - last - 1);
      std::replace(name.begin(), name.end(), '_', '-');
      function->properties[name] = word.text.substr(equal + 1);
      return;
    }
  }
  parts.guest.note("", "-set " + word.text, word.line, advice::kUnknown);
}

void rtc_option(QemuParts& parts, const Word& word) {
  OptionList options(word, "");
  if (const auto base = options.take("base"); base && *base != "utc") {
    parts.guest.note("machine", "-rtc base=" + *base, word.line, advice::kClock);
  }
  options.rest_needs_no_key("-rtc", parts.guest);
}

void action_option(QemuParts& parts, const Word& word) {
  OptionList options(word, "");
  if (const auto reboot = options.take("reboot")) {
    parts.guest.exit_on_reboot = parts.guest.exit_on_reboot || *reboot == "shutdown";
    parts.guest.needs_no_key("-action reboot=" + *reboot);
  }
  for (const auto* const name : {"panic", "shutdown", "watchdog"}) {
    if (const auto value = options.take(name)) {
      parts.guest.note("machine", fmt::format("-action {}={}", name, *value), word.line,
                       "a guest that powers off or panics (test.pvpanic) ends its run: systemd can "
                       "start it again");
    }
  }
  options.tell_rest("-action", parts.guest.notes["machine"]);
}

void text_option(QemuParts& parts, std::string_view option, const Word& word, std::string& value) {
  if (!value.empty() && value != word.text) {
    parts.guest.note("boot", fmt::format("-{} {}", option, value), word.line,
                     "it is there more than once: the last one counts");
  }
  value = word.text;
}

void name_option(QemuParts& parts, const Word& word) {
  OptionList options(word, "guest");
  parts.guest.name = options.text("guest");
  options.needs_no_key("-name", parts.guest, {"process", "debug-threads"});
  options.tell_rest("-name", parts.guest.notes[""]);
}

void mem_path_option(QemuParts& parts, const Word& word) {
  const bool is_large = word.text.find("1G") != std::string::npos;
  parts.guest.hugepages = is_large ? "1GiB" : "2MiB";
  parts.guest.needs_no_key("-mem-path " + word.text);
}

/// Ports that Proxmox and quickemu keep in files of their own.
void readconfig_option(QemuParts& parts, const Word& word) {
  const auto name = word.text.substr(word.text.rfind('/') + 1);
  if (name.starts_with("pve-") && name.ends_with(".cfg")) {
    parts.guest.needs_no_key("-readconfig " + word.text);  // root ports and USB controllers
    return;
  }
  parts.guest.note("", "-readconfig " + word.text, word.line,
                   "QEMU's configuration files are not read: what is in there is missing here; "
                   "write it as options (`virsh domxml-to-native`, or by hand) and convert again");
}

void add_folder(QemuParts& parts, OptionList options) {
  const std::string id = options.text("id");
  read_folder(parts, "-fsdev", options, parts.folders[id]);
}

void add_virtfs(QemuParts& parts, OptionList options) {
  ForeignShare share;
  share.line = options.line();
  share.what = "-virtfs";
  share.tag = options.text("mount-tag");
  QemuFolder folder;
  read_folder(parts, "-virtfs", options, folder);
  share.path = folder.path;
  share.read_only = folder.read_only;
  share.notes = std::move(folder.notes);
  share.notes.push_back({share.what, share.line, std::string(advice::kNineP)});
  parts.guest.add(parts.guest.shares, kMostShared, std::move(share),
                  "-virtfs " + options.argument());
}

}  // namespace gpuvm::convert
