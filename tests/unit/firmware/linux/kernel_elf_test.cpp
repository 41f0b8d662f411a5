// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/kernel_elf.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/unit/firmware/linux/kernel_builder.hpp"

namespace gpuvm::test::kernel_elf_test {
namespace {

/// The error of a small kernel after a change to its first program header.
std::string error_with(const std::function<void(Elf64_Phdr&)>& change) {
  Bytes file = make_small_elf();
  auto program = program_header(file, 0);
  change(program);
  set_program_header(file, 0, program);
  const auto kernel = parse_kernel_elf(file, "vmlinux");
  return kernel ? "" : kernel.error().message();
}

std::string error_with_header(const std::function<void(Elf64_Ehdr&)>& change) {
  Bytes file = make_small_elf();
  auto header = elf_header(file);
  change(header);
  set_elf_header(file, header);
  const auto kernel = parse_kernel_elf(file, "vmlinux");
  return kernel ? "" : kernel.error().message();
}

TEST(KernelElf, TakesPhysicalAddressesAndSortsThem) {
  const Bytes a = to_bytes("text and data");
  const Bytes b = to_bytes("more");
  const Bytes file = make_elf({{0x2000000, b, 0x3000}, {0x1000000, a, 0}}, 0x1000004);
  const auto kernel = parse_kernel_elf(file, "vmlinux");
  ASSERT_TRUE(kernel) << kernel.error().to_string();
  EXPECT_EQ(kernel->entry, GuestAddress(0x1000004));
  ASSERT_EQ(kernel->segments.size(), 2U);
  EXPECT_EQ(kernel->segments[0].range, GuestRange::create(GuestAddress(0x1000000), a.size()));
  EXPECT_TRUE(std::ranges::equal(kernel->segments[0].content, a));
  EXPECT_EQ(kernel->segments[1].range.size(), 0x3000U);
  EXPECT_TRUE(std::ranges::equal(kernel->segments[1].content, b));
}

TEST(KernelElf, RefusesOtherArchitectures) {
  EXPECT_NE(error_with_header([](auto& h) { h.e_machine = EM_AARCH64; }).find("x86-64"),
            std::string::npos);
  EXPECT_NE(error_with_header([](auto& h) { h.e_ident[EI_CLASS] = ELFCLASS32; }).find("x86-64"),
            std::string::npos);
  EXPECT_NE(error_with_header([](auto& h) { h.e_ident[EI_DATA] = ELFDATA2MSB; }).find("x86-64"),
            std::string::npos);
  EXPECT_NE(error_with_header([](auto& h) { h.e_type = ET_REL; }).find("linked"),
            std::string::npos);
}

TEST(KernelElf, RefusesBadProgramHeaderTables) {
  EXPECT_NE(error_with_header([](auto& h) { h.e_phentsize = 8; }), "");
  EXPECT_NE(error_with_header([](auto& h) { h.e_phnum = 0; }), "");
  EXPECT_NE(error_with_header([](auto& h) { h.e_phnum = 0xffff; }), "");
  EXPECT_NE(error_with_header([](auto& h) { h.e_phoff = 0xffffffffffffffc0; }).find("cut off"),
            std::string::npos);
  EXPECT_NE(error_with_header([](auto& h) { h.e_phoff = 0x1ff8; }).find("cut off"),
            std::string::npos);
}

TEST(KernelElf, RefusesSegmentsOutsideTheFile) {
  EXPECT_NE(error_with([](auto& p) { p.p_offset = 0xfffffffffffffff0; }).find("cut off"),
            std::string::npos);
  EXPECT_NE(error_with([](auto& p) { p.p_offset += 1; }).find("cut off"), std::string::npos);
  EXPECT_NE(error_with([](auto& p) { p.p_filesz = p.p_memsz = ~0ULL; }).find("cut off"),
            std::string::npos);
  EXPECT_NE(error_with([](auto& p) { p.p_memsz = p.p_filesz - 1; }).find("content"),
            std::string::npos);
}

TEST(KernelElf, RefusesSegmentsOutsideLowMemory) {
  for (const std::uint64_t address :
       {0x0ULL, 0xff000ULL, 0xffffffffULL, 0x100000000ULL, 0xffffffff81000000ULL, ~0ULL}) {
    EXPECT_NE(error_with([&](auto& p) { p.p_paddr = address; }).find("between 1 MiB and 4 GiB"),
              std::string::npos)
        << std::hex << address;
  }
  EXPECT_NE(error_with([](auto& p) { p.p_memsz = 0x100000000; }), "");
  EXPECT_NE(error_with([](auto& p) { p.p_memsz = ~0ULL; }), "");
}

TEST(KernelElf, RefusesOverlapsAndNothingToLoad) {
  const Bytes content(4096);
  const Bytes file = make_elf({{0x1000000, content, 0x10000}, {0x100ffff, content, 0}}, 0x1000000);
  const auto kernel = parse_kernel_elf(file, "vmlinux");
  ASSERT_FALSE(kernel);
  EXPECT_NE(kernel.error().message().find("overlap"), std::string::npos);
  EXPECT_NE(error_with([](auto& p) { p.p_filesz = p.p_memsz = 0; }).find("nothing to load"),
            std::string::npos);
  EXPECT_NE(error_with([](auto& p) { p.p_type = PT_NOTE; }).find("nothing to load"),
            std::string::npos);
}

TEST(KernelElf, RefusesAnEntryOutsideTheContent) {
  for (const std::uint64_t entry : {0x0ULL, 0xffffffULL, 0x1001000ULL, 0xffffffff81000000ULL}) {
    EXPECT_NE(error_with_header([&](auto& h) { h.e_entry = entry; }).find("starts at"),
              std::string::npos)
        << std::hex << entry;
  }
}

TEST(KernelElf, EveryTruncationIsAnError) {
  const Bytes file = make_small_elf();
  for (std::size_t size = 0; size < file.size(); size += 13) {
    const auto kernel = parse_kernel_elf(std::span(file).first(size), "vmlinux");
    ASSERT_FALSE(kernel) << size;
    EXPECT_EQ(kernel.error().kind(), ErrorKind::kConfig);
  }
}

}  // namespace
}  // namespace gpuvm::test::kernel_elf_test
