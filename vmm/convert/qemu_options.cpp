// SPDX-License-Identifier: Apache-2.0
// A QEMU command line (qemu(1)), option by option.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

using Handler = void (*)(QemuParts&, const Word&);

/// An option that has a counterpart, whose argument the handler takes.
struct HandledOption {
  std::string_view name;
  Handler handler;
};

void serial_option(QemuParts& parts, const Word& word) {
  auto& serial = parts.guest.serial;
  const auto place = place_of_serial(parts, word);
  const bool is_second = serial && !serial->empty();
  if (place && is_second && !place->empty()) {
    parts.guest.note("console", "-serial " + word.text, word.line,
                     "there is one serial port: the first is taken; [console] virtio is a second "
                     "console");
  } else if (place && !is_second) {
    serial = place->empty() ? std::vector<std::string>() : std::vector<std::string>{*place};
  }
}

void smbios_option(QemuParts& parts, const Word& word) {
  OptionList options(word, "");
  constexpr std::string_view kCredential = "io.systemd.credential:";
  const std::string kind = options.text("type");
  const std::string value = options.text("value");
  const auto equal = value.find('=');
  if (kind == "11" && value.starts_with(kCredential) && equal != std::string::npos) {
    parts.guest.credentials.emplace_back(
        value.substr(kCredential.size(), equal - kCredential.size()), value.substr(equal + 1));
  } else {
    parts.guest.note("", "-smbios type=" + kind, word.line, advice::kSmbios);
  }
}

void fw_cfg_option(QemuParts& parts, const Word& word) {
  OptionList options(word, "name");
  const std::string name = options.text("name");
  const std::string file = options.text("file");
  const std::string text = options.text("string");
  if (parts.guest.fw_cfg.size() < 32) {
    parts.guest.fw_cfg.emplace_back(name, file.empty() ? "string:" + text : "file:" + file);
  }
}

void add_folder(QemuParts& parts, const Word& word, bool is_device) {
  OptionList options(word, "driver");
  if (!is_device) {
    parts.folders[options.text("id")] = options.text("path");
    return;
  }
  ForeignShare share;
  share.line = word.line;
  share.what = "-virtfs";
  share.path = options.text("path");
  share.tag = options.text("mount-tag");
  share.read_only = options.is_on("readonly");
  share.notes.push_back({"-virtfs", word.line, std::string(advice::kNineP)});
  if (parts.guest.shares.size() < 64) {
    parts.guest.shares.push_back(std::move(share));
  }
}

void boot_option(QemuParts& parts, const Word& word) {
  OptionList options(word, "order");
  const std::string order = options.text("order");
  auto& disks = parts.guest.disks;
  if (order.starts_with('d')) {
    for (auto& disk : disks) {
      if (disk.cdrom) {
        disk.boot_order = 0;
      }
    }
  } else if (order.starts_with('n')) {
    parts.guest.note("boot", "-boot " + order, word.line,
                     "gpuvm's network cards have no boot ROM: UEFI boots by virtio-net as the "
                     "firmware can, or name kernel and initrd");
  }
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
  if (const auto base = options.text("base"); !base.empty() && base != "utc") {
    parts.guest.note("machine", "-rtc base=" + base, word.line, advice::kClock);
  }
}

void action_option(QemuParts& parts, const Word& word) {
  OptionList options(word, "");
  const std::string reboot = options.text("reboot");
  parts.guest.exit_on_reboot = parts.guest.exit_on_reboot || reboot == "shutdown";
  options.skip({"panic", "shutdown", "watchdog"});
  options.tell_rest("-action", parts.guest.notes["machine"]);
}

constexpr HandledOption kHandled[] = {
    {"device", [](QemuParts& p, const Word& w) { add_device(p, OptionList(w, "driver")); }},
    {"drive", [](QemuParts& p, const Word& w) { add_drive(p, OptionList(w, "file")); }},
    {"blockdev", [](QemuParts& p, const Word& w) { add_blockdev(p, OptionList(w, "driver")); }},
    {"hda", [](QemuParts& p, const Word& w) { add_image(p, w, false); }},
    {"hdb", [](QemuParts& p, const Word& w) { add_image(p, w, false); }},
    {"hdc", [](QemuParts& p, const Word& w) { add_image(p, w, false); }},
    {"hdd", [](QemuParts& p, const Word& w) { add_image(p, w, false); }},
    {"cdrom", [](QemuParts& p, const Word& w) { add_image(p, w, true); }},
    {"netdev",
     [](QemuParts& p, const Word& w) { add_netdev(p, OptionList(w, "type"), "-netdev"); }},
    {"nic", [](QemuParts& p, const Word& w) { add_netdev(p, OptionList(w, "type"), "-nic"); }},
    {"net", [](QemuParts& p, const Word& w) { add_netdev(p, OptionList(w, "type"), "-net"); }},
    {"smp", [](QemuParts& p, const Word& w) { set_cpus(p, OptionList(w, "cpus")); }},
    {"m", [](QemuParts& p, const Word& w) { set_memory(p, OptionList(w, "size")); }},
    {"cpu", [](QemuParts& p, const Word& w) { set_cpu(p, OptionList(w, "model")); }},
    {"machine", [](QemuParts& p, const Word& w) { set_machine(p, OptionList(w, "type")); }},
    {"M", [](QemuParts& p, const Word& w) { set_machine(p, OptionList(w, "type")); }},
    {"numa", [](QemuParts& p, const Word& w) { add_node(p, OptionList(w, "type")); }},
    {"object", [](QemuParts& p, const Word& w) { add_object(p, OptionList(w, "qom-type")); }},
    {"chardev", [](QemuParts& p, const Word& w) { add_chardev(p, OptionList(w, "backend")); }},
    {"serial", serial_option},
    {"smbios", smbios_option},
    {"fw_cfg", fw_cfg_option},
    {"fsdev", [](QemuParts& p, const Word& w) { add_folder(p, w, false); }},
    {"virtfs", [](QemuParts& p, const Word& w) { add_folder(p, w, true); }},
    {"boot", boot_option},
    {"set", set_property},
    {"rtc", rtc_option},
    {"action", action_option},
    {"name",
     [](QemuParts& p, const Word& w) { p.guest.name = OptionList(w, "guest").text("guest"); }},
    {"kernel", [](QemuParts& p, const Word& w) { p.guest.kernel = w.text; }},
    {"initrd", [](QemuParts& p, const Word& w) { p.guest.initrd = w.text; }},
    {"append", [](QemuParts& p, const Word& w) { p.guest.cmdline = w.text; }},
    {"mem-path",
     [](QemuParts& p, const Word& w) {
       const bool is_large = w.text.find("1G") != std::string::npos;
       p.guest.hugepages = is_large ? "1GiB" : "2MiB";
     }},
};

/// An option that sets a key, or nothing, and has no argument.
struct Flag {
  std::string_view name;
  Handler handler;  ///< null: gpuvm does it by itself
};

constexpr Flag kFlags[] = {
    {"enable-kvm", nullptr},
    {"no-hpet", nullptr},
    {"nodefaults", nullptr},
    {"no-user-config", nullptr},
    {"mem-prealloc", nullptr},
    {"no-fd-bootchk", nullptr},
    {"usb", nullptr},
    {"nographic",
     [](QemuParts& p, const Word&) {
       if (!p.guest.serial) {
         p.guest.serial = std::vector<std::string>{"stdio"};
       }
     }},
    {"no-reboot", [](QemuParts& p, const Word&) { p.guest.exit_on_reboot = true; }},
    {"snapshot",
     [](QemuParts& p, const Word&) {
       for (auto& disk : p.guest.disks) {
         disk.throwaway = true;
       }
     }},
    {"daemonize",
     [](QemuParts& p, const Word& w) {
       p.guest.note("", "-daemonize", w.line, advice::kForeground);
     }},
    {"S",
     [](QemuParts& p, const Word& w) {
       p.guest.note("", "-S", w.line, "a guest starts at once: SIGUSR1 pauses it, SIGUSR2 goes on");
     }},
    {"no-shutdown",
     [](QemuParts& p, const Word& w) {
       p.guest.note("", "-no-shutdown", w.line, "a guest that powers off ends its run");
     }},
    {"no-acpi",
     [](QemuParts& p, const Word& w) {
       p.guest.note("", "-no-acpi", w.line, "the guest always has ACPI");
     }},
    {"s", [](QemuParts& p, const Word& w) { p.guest.note("", "-s", w.line, advice::kMonitor); }},
};

/// An option with an argument and without a counterpart.
struct AdvisedOption {
  std::string_view name;
  std::string_view advice;  ///< empty: gpuvm does it by itself
};

constexpr AdvisedOption kAdvised[] = {
    {"accel", ""},
    {"sandbox", ""},
    {"uuid", advice::kSmbios},
    {"acpitable", advice::kAcpiTable},
    {"bios",
     "one file with code and variables is not taken: name OVMF's two, firmware (…CODE…) and "
     "vars (a copy of …VARS…)"},
    {"vga", advice::kScreen},
    {"display", advice::kScreen},
    {"spice", advice::kRemote},
    {"vnc", advice::kRemote},
    {"audiodev", advice::kSound},
    {"audio", advice::kSound},
    {"soundhw", advice::kSound},
    {"usbdevice", advice::kInput},
    {"tpmdev", advice::kTpm},
    {"watchdog", advice::kWatchdog},
    {"watchdog-action", advice::kWatchdog},
    {"monitor", advice::kMonitor},
    {"qmp", advice::kMonitor},
    {"qmp-pretty", advice::kMonitor},
    {"mon", advice::kMonitor},
    {"gdb", advice::kMonitor},
    {"trace", advice::kMonitor},
    {"d", advice::kMonitor},
    {"D", advice::kMonitor},
    {"pidfile", advice::kForeground},
    {"runas", advice::kForeground},
    {"run-with", advice::kForeground},
    {"chroot", advice::kForeground},
    {"incoming", "guests are not migrated and not restored"},
    {"loadvm", "there are no snapshots of a running guest; disk.throwaway keeps a disk as it is"},
    {"fda", advice::kFloppy},
    {"fdb", advice::kFloppy},
    {"parallel", advice::kPort},
    {"debugcon", "boot.firmware_log takes what the firmware prints"},
    {"overcommit", ""},
    {"realtime", ""},
    {"msg", ""},
    {"L", ""},
    {"k", advice::kInput},
    {"icount", "the guest runs at the host's speed"},
    {"option-rom", "only pci.rom gives a ROM, that of a passed-through function"},
    {"readconfig",
     "QEMU's configuration files are not read: what is in there is missing here; write "
     "it as options (`virsh domxml-to-native`, or by hand) and convert again"},
    {"global", "properties of devices that gpuvm has not, or has otherwise"},
};

template <class Rows>
auto find_row(const Rows& rows, std::string_view name) {
  const auto found = std::find_if(std::begin(rows), std::end(rows),
                                  [&](const auto& row) { return row.name == name; });
  return found == std::end(rows) ? nullptr : &*found;
}

/// Without a counterpart; says whether the next word is its argument.
bool tell_option(QemuParts& parts, const Word& option, std::string_view name, const Word* next) {
  const auto* const advised = find_row(kAdvised, name);
  const bool has_argument = next != nullptr && (advised != nullptr || !next->text.starts_with('-'));
  const std::string shown =
      has_argument ? fmt::format("-{} {}", name, next->text) : fmt::format("-{}", name);
  const bool is_none = has_argument && (next->text == "none" || next->text == "off");
  if (advised == nullptr) {
    parts.guest.note("", shown, option.line, advice::kUnknown);
  } else if (!advised->advice.empty() && !is_none) {
    parts.guest.note("", shown, option.line, advised->advice);
  }
  return has_argument;
}

/// Options that name what others define come last, as QEMU itself reads them.
unsigned order_of(std::string_view name) {
  return name == "chardev" || name == "object" || name == "fsdev" ? 0
         : name == "device" || name == "serial" || name == "numa" ? 2
         : name == "machine" || name == "M" || name == "boot" || name == "snapshot" ||
                 name == "set" || name == "nographic"
             ? 3
             : 1;
}

std::string_view option_name(const Word& word) {
  std::string_view name = word.text;
  name.remove_prefix(name.starts_with("--") ? 2 : 1);
  return name;
}

/// One pass over the words: does those options that have this order.
void apply_pass(const std::vector<Word>& words, unsigned pass, QemuParts& parts) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const Word& word = words[i];
    if (!word.text.starts_with('-')) {
      // QEMU takes a word alone for a disk; "$@" is told already.
      if (pass == 1 && !word.text.empty() && !word.text.starts_with('$')) {
        add_image(parts, word, false);
      }
      continue;
    }
    const auto name = option_name(word);
    const bool is_now = order_of(name) == pass;
    const Word* const next = i + 1 < words.size() ? &words[i + 1] : nullptr;
    if (const auto* const flag = find_row(kFlags, name)) {
      if (is_now && flag->handler != nullptr) {
        flag->handler(parts, word);
      }
    } else if (const auto* const handled = find_row(kHandled, name)) {
      if (is_now && next != nullptr) {
        handled->handler(parts, *next);
      }
      ++i;
    } else {
      ForeignGuest ignored;
      QemuParts others{ignored};
      i += tell_option(is_now ? parts : others, word, name, next) ? 1U : 0U;
    }
  }
}

}  // namespace

void apply_options(const std::vector<Word>& words, ForeignGuest& guest) {
  QemuParts parts{guest};
  for (unsigned pass = 0; pass <= 3; ++pass) {
    apply_pass(words, pass, parts);
  }
}

Result<ForeignGuest> read_command_line(std::string_view text, const std::string& label) {
  ForeignGuest guest;
  const auto words = TRY(command_words(text, label, guest));
  apply_options(words, guest);
  return guest;
}

}  // namespace gpuvm::convert
