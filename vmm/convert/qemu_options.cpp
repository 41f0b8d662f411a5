// SPDX-License-Identifier: Apache-2.0
// A QEMU command line (qemu(1)), option by option.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_small_options.hpp"

namespace gpuvm::convert {
namespace {

using Handler = void (*)(QemuParts&, const Word&);

/// An option that has a counterpart, whose argument the handler takes.
struct HandledOption {
  std::string_view name;
  Handler handler;
};

constexpr HandledOption kHandled[] = {
    {"device", [](QemuParts& p, const Word& w) { add_device(p, OptionList(w, "driver")); }},
    {"drive", [](QemuParts& p, const Word& w) { add_drive(p, OptionList(w, "file")); }},
    {"blockdev", [](QemuParts& p, const Word& w) { add_blockdev(p, OptionList(w, "driver")); }},
    {"hda", [](QemuParts& p, const Word& w) { add_image(p, w, false, 0); }},
    {"hdb", [](QemuParts& p, const Word& w) { add_image(p, w, false, 1); }},
    {"hdc", [](QemuParts& p, const Word& w) { add_image(p, w, false, 2); }},
    {"hdd", [](QemuParts& p, const Word& w) { add_image(p, w, false, 3); }},
    {"cdrom", [](QemuParts& p, const Word& w) { add_image(p, w, true, 2); }},
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
    {"fsdev", [](QemuParts& p, const Word& w) { add_folder(p, OptionList(w, "fsdriver")); }},
    {"virtfs", [](QemuParts& p, const Word& w) { add_virtfs(p, OptionList(w, "fsdriver")); }},
    {"boot", boot_option},
    {"set", set_property},
    {"rtc", rtc_option},
    {"action", action_option},
    {"name", name_option},
    {"kernel", [](QemuParts& p, const Word& w) { text_option(p, "kernel", w, p.guest.kernel); }},
    {"initrd", [](QemuParts& p, const Word& w) { text_option(p, "initrd", w, p.guest.initrd); }},
    {"append", [](QemuParts& p, const Word& w) { text_option(p, "append", w, p.guest.cmdline); }},
    {"mem-path", mem_path_option},
    {"accel", [](QemuParts& p, const Word& w) { set_accelerator(p, OptionList(w, "accel")); }},
    {"global", set_global},
    {"pflash",
     [](QemuParts& p, const Word& w) {
       add_drive(p, OptionList({"if=pflash,format=raw,file=" + w.text, w.line}, ""));
     }},
    {"readconfig", readconfig_option},
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
    {"nodefconfig", nullptr},
    {"no-user-config", nullptr},
    {"no-fd-bootchk", nullptr},
    {"usb", nullptr},
    {"nographic",
     [](QemuParts& p, const Word& w) {
       if (!p.guest.serial) {
         p.guest.serial = std::vector<std::string>{"stdio"};
       } else {
         p.guest.needs_no_key(w.text);
       }
     }},
    {"no-reboot", [](QemuParts& p, const Word&) { p.guest.exit_on_reboot = true; }},
    {"snapshot",
     [](QemuParts& p, const Word& w) {
       for (auto& disk : p.guest.disks) {
         disk.throwaway = true;
       }
       if (p.guest.disks.empty()) {
         p.guest.needs_no_key(w.text);
       }
     }},
    {"no-kvm",
     [](QemuParts& p, const Word& w) { p.guest.hinder(w.text, w.line, advice::kOnlyKvm); }},
    {"win2k-hack", nullptr},
    {"full-screen", nullptr},
    {"no-quit", nullptr},
    {"no-frame", nullptr},
    {"alt-grab", nullptr},
    {"ctrl-grab", nullptr},
    {"singlestep", nullptr},
    {"one-insn-per-tb", nullptr},
    {"portrait", nullptr},
    {"enable-fips", nullptr},
    {"preconfig",
     [](QemuParts& p, const Word& w) { p.guest.note("", w.text, w.line, advice::kMonitor); }},
    {"mem-prealloc", nullptr},
    {"sdl", [](QemuParts& p, const Word& w) { p.guest.note("", w.text, w.line, advice::kScreen); }},
    {"curses",
     [](QemuParts& p, const Word& w) { p.guest.note("", w.text, w.line, advice::kScreen); }},
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

template <class Rows>
auto find_row(const Rows& rows, std::string_view name) {
  const auto found = std::find_if(std::begin(rows), std::end(rows),
                                  [&](const auto& row) { return row.name == name; });
  return found == std::end(rows) ? nullptr : &*found;
}

/// Without a counterpart; says whether the next word is its argument.
bool tell_option(QemuParts& parts, const Word& option, std::string_view name, const Word* next) {
  const auto* const advised = advised_option(name);
  const bool has_argument = next != nullptr && (advised != nullptr || !next->text.starts_with('-'));
  const std::string shown =
      has_argument ? fmt::format("-{} {}", name, next->text) : fmt::format("-{}", name);
  const bool is_none = has_argument && (next->text == "none" || next->text == "off");
  if (advised == nullptr) {
    parts.guest.note("", shown, option.line, advice::kUnknown);
  } else if (!advised->advice.empty() && !is_none) {
    parts.guest.note("", shown, option.line, advised->advice);
  } else {
    parts.guest.needs_no_key(shown);
  }
  return has_argument;
}

/// Options that name what others define come last, as QEMU itself reads them.
unsigned order_of(std::string_view name) {
  return name == "chardev" || name == "object" || name == "fsdev" ? 0
         : name == "device" || name == "serial" || name == "numa" ? 2
         : name == "machine" || name == "M" || name == "boot" || name == "snapshot" ||
                 name == "set" || name == "nographic" || name == "global"
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
      } else if (is_now) {
        parts.guest.needs_no_key(word.text);
      }
    } else if (const auto* const handled = find_row(kHandled, name)) {
      if (is_now && next != nullptr) {
        handled->handler(parts, *next);
      } else if (is_now) {
        parts.guest.note("", word.text, word.line, "what belongs behind it is missing here");
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

bool is_qemu_option(std::string_view word) {
  if (!word.starts_with('-')) {
    return false;
  }
  word.remove_prefix(word.starts_with("--") ? 2 : 1);
  return find_row(kFlags, word) != nullptr || find_row(kHandled, word) != nullptr ||
         advised_option(word) != nullptr;
}

void apply_options(const std::vector<Word>& words, ForeignGuest& guest) {
  QemuParts parts{guest};
  parts.first_disk = guest.disks.size();
  for (unsigned pass = 0; pass <= 3; ++pass) {
    if (pass == 3) {
      order_drives(parts);  // what -boot says goes before it
    }
    apply_pass(words, pass, parts);
  }
  tell_unused(parts);
}

Result<ForeignGuest> read_command_line(std::string_view text, const std::string& label) {
  ForeignGuest guest;
  const auto words = TRY(command_words(text, label, guest));
  apply_options(words, guest);
  return guest;
}

}  // namespace gpuvm::convert
