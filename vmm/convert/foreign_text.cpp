// SPDX-License-Identifier: Apache-2.0
#include "vmm/convert/foreign_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

/// A block of code in a page, by its lines from 0; `last` is behind it.
struct CodeBlock {
  std::size_t first = 0;
  std::size_t last = 0;
};

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_toml(std::string_view text) {
  text = trimmed(text);
  return text.starts_with("[machine]") || text.starts_with("[boot]") ||
         contains(text, "\n[machine]") || contains(text, "\n[boot]");
}

/// "```xml", "~~~", "[code]": the fence that ends the block, or "".
std::string_view fence_of(std::string_view line) {
  line = trimmed(line);
  if (line.starts_with("```") || line.starts_with("~~~")) {
    return line.substr(0, 3);
  }
  const std::string small = lower(line.substr(0, 8));
  return small.starts_with("[code]") || small.starts_with("[code=") ? "[/code]"
                                                                    : std::string_view();
}

/// A block begins behind a line with a fence; without an end it goes up to the end of the text.
std::vector<CodeBlock> blocks_of(const std::vector<std::string_view>& lines) {
  std::vector<CodeBlock> blocks;
  std::string_view fence;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto line = trimmed(lines[i]);
    const bool is_end = fence == "[/code]" ? contains(lower(line), fence)
                                           : !fence.empty() && line.starts_with(fence);
    if (fence.empty()) {
      fence = fence_of(line);
      if (!fence.empty()) {
        blocks.push_back({i + 1, lines.size()});
      }
    } else if (is_end) {
      blocks.back().last = i;
      fence = {};
    }
  }
  return blocks;
}

bool has_qemu(std::string_view text) {
  return contains(text, "qemu-system-") || contains(text, "qemu-kvm") || contains(text, "/kvm ") ||
         trimmed(text).starts_with("kvm ");
}

enum class BlockKind { kOther, kCommand, kDevice, kDomain };

BlockKind kind_of(std::string_view text) {
  if (trimmed(text).starts_with('<')) {
    return contains(text, "<domain") ? BlockKind::kDomain
           : contains(text, "<hostdev") || contains(text, "<disk") ||
                   contains(text, "<interface") || contains(text, "<devices")
               ? BlockKind::kDevice
               : BlockKind::kOther;
  }
  return has_qemu(text) && contains(text, " -") ? BlockKind::kCommand : BlockKind::kOther;
}

/// Only these lines, the others empty.
std::string only_lines(const std::vector<std::string_view>& lines, const CodeBlock& block) {
  std::string text;
  for (std::size_t i = 0; i < block.last && i < lines.size(); ++i) {
    text += i >= block.first ? lines[i] : std::string_view();
    text += '\n';
  }
  return text;
}

std::string_view text_of_block(const std::vector<std::string_view>& lines, const CodeBlock& block) {
  if (block.first >= block.last) {
    return {};
  }
  const auto& last = lines[block.last - 1];
  const char* const start = lines[block.first].data();
  return {start, static_cast<std::size_t>(last.data() + last.size() - start)};
}

/// The block with the guest of a page; false where there is none.
bool take_block(const std::vector<std::string_view>& lines, ForeignText wanted, ForeignPage& page) {
  const auto blocks = blocks_of(lines);
  const CodeBlock* best = nullptr;
  BlockKind best_kind = BlockKind::kOther;
  std::vector<std::size_t> others;
  for (const auto& block : blocks) {
    const auto kind = kind_of(text_of_block(lines, block));
    const bool is_wanted = wanted == ForeignText::kAuto ||
                           (wanted == ForeignText::kQemu) == (kind == BlockKind::kCommand);
    if (kind == BlockKind::kOther || !is_wanted) {
      continue;
    }
    if (kind > best_kind) {
      others.insert(others.end(), best != nullptr ? 1 : 0, best != nullptr ? best->first + 1 : 0);
      best = &block;
      best_kind = kind;
    } else {
      others.push_back(block.first + 1);
    }
  }
  if (best == nullptr) {
    return false;
  }
  page.text = only_lines(lines, *best);
  page.is_domain = best_kind != BlockKind::kCommand;
  for (const auto line : others) {
    page.notes.push_back({"another block of code", line,
                          "only one guest is converted: put each into a file of its own"});
  }
  return true;
}

/// A unit of systemd: its ExecStart=, where lines that are comments do not end what goes on.
bool take_unit(const std::vector<std::string_view>& lines, ForeignPage& page) {
  constexpr std::string_view kStart = "ExecStart=";
  const bool is_unit = std::any_of(lines.begin(), lines.end(), [](std::string_view line) {
    return trimmed(line) == "[Service]";
  });
  std::string text;
  bool goes_on = false;
  bool is_found = false;
  for (std::string_view line : lines) {
    const auto content = trimmed(line);
    const bool is_start = !goes_on && content.starts_with(kStart);
    if (goes_on && content.starts_with('#')) {
      text += '\\';
    } else if (goes_on || is_start) {
      const auto command = is_start ? content.substr(kStart.size()) : line;
      text += command.substr(is_start ? std::min(command.find_first_not_of("-@:+!"), command.size())
                                      : 0);
      goes_on = content.ends_with('\\');
      is_found = true;
    }
    text += '\n';
  }
  if (is_unit && is_found) {
    page.text = std::move(text);
  }
  return is_unit && is_found;
}

/// "<domain …</domain>" with words around it.
bool take_element(std::string_view text, const std::vector<std::string_view>& lines,
                  ForeignPage& page) {
  constexpr std::string_view kEnd = "</domain>";
  const auto start = text.find("<domain");
  const auto end = start == std::string_view::npos ? start : text.find(kEnd, start);
  if (end == std::string_view::npos) {
    return false;
  }
  const auto line_at = [&](std::size_t at) {
    return static_cast<std::size_t>(
        std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
  };
  const auto line_start = text.rfind('\n', start) + 1;  // npos + 1 is the start of the text
  page.text = std::string(line_at(start), '\n') + std::string(start - line_start, ' ');
  page.text += text.substr(start, end + kEnd.size() - start);
  page.is_domain = true;
  if (const auto next = text.find("<domain", end); next != std::string_view::npos) {
    page.notes.push_back({"another <domain>", line_at(next) + 1,
                          "only one guest is converted: put each into a file of its own"});
  }
  return !lines.empty();
}

struct OtherText {
  std::string_view mark;  ///< at the start of a line
  std::string_view what;
  std::string_view cure;
};

constexpr std::string_view kShowCommand = "give what `qm showcmd ID --pretty` prints";
constexpr std::string_view kByHand = "docs/coming-from-qemu.md has the words: write it by hand";

constexpr OtherText kOthers[] = {
    {"hostpci0:", "a guest of Proxmox (qm config)", kShowCommand},
    {"scsihw:", "a guest of Proxmox (qm config)", kShowCommand},
    {"ostype:", "a guest of Proxmox (qm config)", kShowCommand},
    {"smbios1:", "a guest of Proxmox (qm config)", kShowCommand},
    {"guest_os=", "a guest of quickemu",
     "give the script that it writes beside the guest's images, NAME/NAME.sh"},
    {"virt-install", "a call of virt-install", "add --print-xml to it, and give what it prints"},
    {"sudo virt-install", "a call of virt-install",
     "add --print-xml to it, and give what it prints"},
    {"virtualHW.version", "a guest of VMware", kByHand},
    {"cloud-hypervisor", "a command line of cloud-hypervisor", kByHand},
    {"crosvm run", "a command line of crosvm", kByHand},
    {"firecracker", "a command line of Firecracker", kByHand},
    {"kind: VirtualMachine", "a guest of KubeVirt",
     "give what virsh dumpxml prints in its launcher's pod"},
    {"builder = ", "a guest of Xen (xl.cfg)",
     "give what `virsh domxml-from-native xen-xl FILE` prints"},
    {"[device \"", "a configuration file of QEMU (-readconfig)",
     "give the command line that names it, with its contents written as options"},
    {"&lt;", "XML as a page of HTML writes it",
     "write < for &lt;, > for &gt;, & for &amp;, or copy it from the browser"},
    {"<VirtualBox", "a guest of VirtualBox", kByHand},
    {"<network", "a network of libvirt", "give the <domain> that virsh dumpxml prints"},
    {"<pool", "a storage pool of libvirt", "give the <domain> that virsh dumpxml prints"},
    {"<volume", "a volume of libvirt", "give the <domain> that virsh dumpxml prints"},
};

/// Texts of other programs, which people try.
Status refuse_others(const std::vector<std::string_view>& lines, std::string_view text,
                     const std::string& label) {
  if (has_qemu(text) || contains(text, "<domain")) {
    return {};
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto line = trimmed(lines[i]);
    const auto* const other =
        std::find_if(std::begin(kOthers), std::end(kOthers),
                     [&](const OtherText& one) { return line.starts_with(one.mark); });
    if (other != std::end(kOthers)) {
      return fail(ErrorKind::kConfig, "{}:{}:1: this is {}, which is not converted: {}", label,
                  i + 1, other->what, other->cure);
    }
  }
  return {};
}

/// /proc/PID/cmdline has a NUL byte behind each word.
std::string quoted_words(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto end = std::min(text.find('\0'), text.size());
    out += out.empty() ? "'" : " '";
    for (const char c : text.substr(0, end)) {
      if (c == '\'') {
        out += "'\\''";
      } else {
        out += c;
      }
    }
    out += '\'';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

/// With line feeds alone at the ends of lines.
std::string unix_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') {
      out += text[i];
    }
  }
  return out;
}

/// The first character of a line that is no blank; npos: none.
std::size_t first_of(std::string_view line) {
  return line.find_first_not_of(" \t");
}

/// Of a text whose lines all begin with ">", as an answer to a letter quotes it: blanks instead.
std::string without_quoting(std::string text) {
  constexpr unsigned kMostDepth = 8;
  for (unsigned i = 0; i < kMostDepth; ++i) {
    std::vector<std::size_t> marks;
    for (const auto line : split_lines(text)) {
      const auto first = first_of(line);
      if (first == std::string_view::npos) {
        continue;
      }
      if (line[first] != '>') {
        return text;
      }
      marks.push_back(static_cast<std::size_t>(line.data() - text.data()) + first);
    }
    for (const auto mark : marks) {
      text[mark] = ' ';
    }
  }
  return text;
}

/// "> -smp 3" behind a line that goes on has the prompt of a shell: no redirection to "-smp".
std::string without_prompts(std::string text) {
  bool goes_on = false;
  bool has_prompts = false;
  std::vector<std::size_t> marks;
  for (const auto line : split_lines(text)) {
    const auto first = first_of(line);
    if (goes_on && first != std::string_view::npos && line[first] == '>') {
      const auto rest = line.substr(first + 1);
      has_prompts = has_prompts || trimmed(rest).starts_with('-');
      if (has_prompts && (rest.empty() || rest.front() == ' ')) {
        marks.push_back(static_cast<std::size_t>(line.data() - text.data()) + first);
      }
    }
    goes_on = trimmed(line).ends_with('\\');
  }
  for (const auto mark : marks) {
    text[mark] = ' ';
  }
  return text;
}

Result<std::string> clean_text(std::string_view text, const std::string& label) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  if (text.size() > kMostForeignText) {
    return fail(ErrorKind::kConfig,
                "{} is larger than {} MiB: this is no domain and no command line", label,
                kMostForeignText >> 20);
  }
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
    return fail(ErrorKind::kConfig,
                "{}:1:1: this is UTF-16: make it UTF-8 (iconv -f UTF-16 -t UTF-8 FILE)", label);
  }
  text.remove_prefix(text.starts_with(kMark) ? kMark.size() : 0);
  if (trimmed(text).empty()) {
    return fail(ErrorKind::kConfig, "{}:1:1: the text is empty: does virsh dumpxml print a domain?",
                label);
  }
  const auto nul = text.find('\0');
  if (nul == std::string_view::npos) {
    return without_prompts(without_quoting(unix_text(text)));
  }
  if (!has_qemu(text.substr(0, nul)) || contains(text.substr(0, nul), "\n")) {
    return fail(ErrorKind::kConfig, "{} has a NUL byte at {}: this is not a text file", label, nul);
  }
  return quoted_words(text);
}

}  // namespace

Result<ForeignPage> find_guest(std::string_view text, const ConvertSource& source) {
  ForeignPage page;
  page.text = TRY(clean_text(text, source.label));
  const std::string whole = page.text;
  const auto lines = split_lines(whole);
  const std::string_view start = trimmed(whole);
  page.is_domain = source.kind == ForeignText::kLibvirt ||
                   (source.kind == ForeignText::kAuto && start.starts_with('<'));
  const bool is_page = !start.starts_with('<') && !start.starts_with("#!");
  if (is_page && (take_block(lines, source.kind, page) ||
                  (source.kind != ForeignText::kLibvirt && take_unit(lines, page)))) {
    return page;
  }
  if (source.kind == ForeignText::kAuto) {
    TRY(refuse_others(lines, whole, source.label));
  }
  if (source.kind == ForeignText::kAuto && !start.starts_with('<') && is_toml(whole)) {
    return fail(ErrorKind::kConfig,
                "{}:1:1: this is a configuration of gpuvm already: gpuvm validate checks it",
                source.label);
  }
  if (is_page && source.kind != ForeignText::kQemu) {
    take_element(whole, lines, page);
  }
  return page;
}

}  // namespace gpuvm::convert
