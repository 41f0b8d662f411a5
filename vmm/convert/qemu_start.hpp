// SPDX-License-Identifier: Apache-2.0
// Internal to this room: whether a command of a shell starts QEMU. QEMU is its first word; before
// it there may be programs that start others (sudo, taskset), variables and a prompt. A word
// elsewhere that has QEMU's name is prose, or the argument of another program.
#pragma once

#include <string_view>
#include <vector>

#include "vmm/convert/readers.hpp"

namespace gpuvm::convert {

/// The word that is QEMU; end() where the command starts something else. Words of a line of `ps`
/// before it are skipped, too.
std::vector<Word>::iterator find_qemu(std::vector<Word>& words);

/// Whether QEMU at `qemu` is given what a guest is: neither "--version", nor words of a sentence.
bool starts_guest(const std::vector<Word>& words, std::vector<Word>::const_iterator qemu);

/// Whether the command is one that has QEMU's name for another purpose: "pkill", "echo".
bool is_about_qemu(std::vector<Word>& words);

/// Whether the command is one that runs texts: "sh -c", "sudo eval", "tmux new".
bool runs_texts(std::vector<Word>& words);

/// "-m", "--name": "-" and "- done" are none.
bool is_option(std::string_view word);

/// What may stand before QEMU and says nothing of the guest: "sudo", options, a prompt.
bool is_transparent(std::string_view word);

/// An assignment that each command of libvirt's log begins with: "LC_ALL=C".
bool is_usual_variable(std::string_view word);

}  // namespace gpuvm::convert
