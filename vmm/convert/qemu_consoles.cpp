// SPDX-License-Identifier: Apache-2.0
// What QEMU's options say of consoles and character devices, and what no option has used.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::string_view kOneSerial =
    "there is one serial port: the first is taken; [console] virtio is a second console";

/// "mon:stdio" has QEMU's monitor on it, too.
std::string_view without_monitor(QemuParts& parts, std::string_view text, const Word& word) {
  if (text.starts_with("mon:")) {
    parts.guest.note("console", "-serial " + word.text, word.line, advice::kMonitor);
    text.remove_prefix(4);
  }
  return text;
}

template <class Parts>
void tell_unused_of(const Parts& parts, std::string_view option, ForeignGuest& guest) {
  for (const auto& [id, part] : parts) {
    if (!part.is_used) {
      guest.needs_no_key(fmt::format("{} {}", option, part.argument));
    }
  }
}

}  // namespace

std::optional<std::string> place_of_serial(QemuParts& parts, const Word& word) {
  const std::string_view text = without_monitor(parts, word.text, word);
  const auto end = std::min(text.find(','), text.size());
  const std::string place(text.substr(0, end));
  if (end != text.size()) {  // "server=on,wait=off": gpuvm's sockets are always so
    parts.guest.needs_no_key(fmt::format("-serial {}{}", place, text.substr(end)));
  }
  if (place == "stdio" || place == "pty") {
    return place;
  }
  if (place == "none" || place == "null") {
    return "";
  }
  if (place.starts_with("file:") && place.size() > 5) {
    return place;
  }
  if (place.starts_with("unix:") && place.size() > 5) {
    return "socket:" + place.substr(5);
  }
  constexpr std::string_view kChardev = "chardev:";
  if (place.starts_with(kChardev)) {
    const auto found = parts.chardevs.find(place.substr(kChardev.size()));
    if (found != parts.chardevs.end() && !found->second.place.empty()) {
      found->second.is_used = true;
      return found->second.place;
    }
  }
  parts.guest.note("console", "-serial " + word.text, word.line, advice::kPort);
  return std::nullopt;
}

void add_chardev(QemuParts& parts, OptionList options) {
  QemuChardev chardev;
  chardev.line = options.line();
  chardev.argument = options.argument();
  const std::string kind = options.text("backend", "backend.type");
  const std::string id = options.text("id");
  std::string path = options.text("path", "backend.data.addr.data.path");
  const std::string out = options.text("out", "backend.data.out");
  if (kind == "stdio" || kind == "pty") {
    chardev.place = kind;
  } else if (kind == "socket" && !path.empty()) {
    chardev.place = "socket:" + path;
  } else if (kind == "file" && !(path + out).empty()) {
    chardev.place = "file:" + (path.empty() ? out : path);
  }
  options.rest_needs_no_key("-chardev",
                            parts.guest);  // sockets wait for nobody, files are added to
  options.tell_rest("-chardev", parts.guest.notes["console"]);
  parts.chardevs[id] = std::move(chardev);
}

void add_console(QemuParts& parts, const std::string& driver, OptionList options) {
  const std::string id = options.text("chardev");
  const auto found = parts.chardevs.find(id);
  options.drop_places();
  options.rest_needs_no_key("-device " + driver, parts.guest);
  options.tell_rest("-device " + driver, parts.guest.notes["console"]);
  if (found != parts.chardevs.end()) {
    found->second.is_used = true;
  }
  if (found == parts.chardevs.end() || found->second.place.empty()) {
    parts.guest.note(
        "console",
        fmt::format("-device {} of {}", driver,
                    found == parts.chardevs.end() ? "chardev " + id : found->second.argument),
        options.line(), advice::kPort);
  } else if (driver == "virtconsole" && parts.guest.virtio_console.empty()) {
    parts.guest.virtio_console.push_back(found->second.place);
  } else if (driver != "virtconsole" && (!parts.guest.serial || parts.guest.serial->empty())) {
    parts.guest.serial = std::vector<std::string>{found->second.place};
  } else {
    parts.guest.note(
        "console", fmt::format("-device {} at {}", driver, found->second.place), options.line(),
        driver == "virtconsole" ? "there is one virtio console: the first is taken" : kOneSerial);
  }
}

void tell_unused(QemuParts& parts) {
  ForeignGuest& guest = parts.guest;
  tell_unused_of(parts.chardevs, "-chardev", guest);
  tell_unused_of(parts.memories, "-object", guest);
  tell_unused_of(parts.folders, "-fsdev", guest);
  tell_unused_of(parts.throttles, "-object", guest);
  for (const auto& [name, block] : parts.blocks) {
    if (!block.is_used) {
      guest.note("", "-blockdev " + block.argument, block.line,
                 "no device shows this one to the guest: it is left out");
    }
  }
  for (const auto& disk : guest.disks) {
    if (!disk.is_used) {
      guest.note("", "-drive " + disk.argument, disk.line,
                 "no device shows this drive to the guest: it is left out");
    }
  }
  for (auto& net : guest.nets) {
    if (!net.has_card) {
      net.is_left_out = true;
      net.notes.push_back({fmt::format("{} {}", net.what, net.id), net.line,
                           "no card of the guest is at this network: it is left out"});
    }
  }
}

}  // namespace gpuvm::convert
