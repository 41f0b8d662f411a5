// SPDX-License-Identifier: Apache-2.0
// Intel SDM volume 2A, CPUID, tables 3-10 and 3-11; AMD64 APM volume 3, appendix E.
#include "vmm/kvm/cpu_features.hpp"

namespace gpuvm {
namespace {

// clang-format off
constexpr std::array kWords = {
    FeatureWord{1, 0, CpuidRegister::kEdx, {
        "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce",
        "cx8", "apic", "", "sep", "mtrr", "pge", "mca", "cmov",
        "pat", "pse36", "pn", "clflush", "", "dts", "acpi", "mmx",
        "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe"}},
    FeatureWord{1, 0, CpuidRegister::kEcx, {
        "pni", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est",
        "tm2", "ssse3", "cid", "sdbg", "fma", "cx16", "xtpr", "pdcm",
        "", "pcid", "dca", "sse4_1", "sse4_2", "x2apic", "movbe", "popcnt",
        "tsc_deadline_timer", "aes", "xsave", "osxsave", "avx", "f16c", "rdrand", "hypervisor"}},
    FeatureWord{7, 0, CpuidRegister::kEbx, {
        "fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle", "avx2", "fdp_excptn_only", "smep",
        "bmi2", "erms", "invpcid", "rtm", "cqm", "zero_fcs_fds", "mpx", "rdt_a",
        "avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512ifma", "", "clflushopt",
        "clwb", "intel_pt", "avx512pf", "avx512er", "avx512cd", "sha_ni", "avx512bw", "avx512vl"}},
    FeatureWord{7, 0, CpuidRegister::kEcx, {
        "", "avx512vbmi", "umip", "pku", "ospke", "waitpkg", "avx512_vbmi2", "",
        "gfni", "vaes", "vpclmulqdq", "avx512_vnni", "avx512_bitalg", "tme", "avx512_vpopcntdq", "",
        "la57", "", "", "", "", "", "rdpid", "",
        "bus_lock_detect", "cldemote", "", "movdiri", "movdir64b", "enqcmd", "sgx_lc", ""}},
    FeatureWord{7, 0, CpuidRegister::kEdx, {
        "", "", "avx512_4vnniw", "avx512_4fmaps", "fsrm", "", "", "",
        "avx512_vp2intersect", "", "md_clear", "", "", "", "serialize", "",
        "tsxldtrk", "", "pconfig", "arch_lbr", "ibt", "", "amx_bf16", "avx512_fp16",
        "amx_tile", "amx_int8", "", "", "flush_l1d", "arch_capabilities", "", ""}},
    FeatureWord{7, 1, CpuidRegister::kEax, {
        "", "", "", "", "avx_vnni", "avx512_bf16", "", "",
        "", "", "", "", "", "", "", "",
        "", "", "", "", "", "amx_fp16", "", "avx_ifma",
        "", "", "lam", "", "", "", "", ""}},
    FeatureWord{0xd, 1, CpuidRegister::kEax, {
        "xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd"}},
    FeatureWord{0x80000001, 0, CpuidRegister::kEdx, {
        "", "", "", "", "", "", "", "",
        "", "", "", "syscall", "", "", "", "",
        "", "", "", "mp", "nx", "", "mmxext", "",
        "", "fxsr_opt", "pdpe1gb", "rdtscp", "", "lm", "3dnowext", "3dnow"}},
    FeatureWord{0x80000001, 0, CpuidRegister::kEcx, {
        "lahf_lm", "cmp_legacy", "svm", "extapic", "cr8_legacy", "abm", "sse4a", "misalignsse",
        "3dnowprefetch", "osvw", "ibs", "xop", "skinit", "wdt", "", "lwp",
        "fma4", "tce", "", "nodeid_msr", "", "tbm", "topoext", "perfctr_core",
        "perfctr_nb", "", "bpext", "ptsc", "perfctr_llc", "mwaitx", "", ""}},
    FeatureWord{0x80000008, 0, CpuidRegister::kEbx, {
        "clzero", "irperf", "xsaveerptr", "", "rdpru", "", "", "",
        "", "wbnoinvd", "", "", "amd_ibpb", "", "amd_ibrs", "amd_stibp",
        "", "amd_stibp_always_on", "", "", "", "", "", "amd_ppin",
        "amd_ssbd", "virt_ssbd", "", "cppc", "amd_psfd", "", "", ""}},
};
// clang-format on

constexpr std::array kDependencies = {
    FeatureDependency{"xsave", "osxsave"},
    FeatureDependency{"xsave", "xsaveopt"},
    FeatureDependency{"xsave", "xsavec"},
    FeatureDependency{"xsave", "xgetbv1"},
    FeatureDependency{"xsave", "xsaves"},
    FeatureDependency{"xsave", "xfd"},
    FeatureDependency{"xsave", "avx"},
    FeatureDependency{"xsave", "mpx"},
    FeatureDependency{"xsave", "pku"},
    FeatureDependency{"pku", "ospke"},
    FeatureDependency{"xfd", "amx_tile"},
    FeatureDependency{"amx_tile", "amx_bf16"},
    FeatureDependency{"amx_tile", "amx_int8"},
    FeatureDependency{"amx_tile", "amx_fp16"},
    FeatureDependency{"avx", "avx2"},
    FeatureDependency{"avx", "fma"},
    FeatureDependency{"avx", "f16c"},
    FeatureDependency{"avx", "xop"},
    FeatureDependency{"avx", "fma4"},
    FeatureDependency{"avx", "vaes"},
    FeatureDependency{"avx", "vpclmulqdq"},
    FeatureDependency{"avx2", "avx_vnni"},
    FeatureDependency{"avx2", "avx_ifma"},
    FeatureDependency{"avx2", "avx512f"},
    FeatureDependency{"avx512f", "avx512dq"},
    FeatureDependency{"avx512f", "avx512ifma"},
    FeatureDependency{"avx512f", "avx512pf"},
    FeatureDependency{"avx512f", "avx512er"},
    FeatureDependency{"avx512f", "avx512cd"},
    FeatureDependency{"avx512f", "avx512bw"},
    FeatureDependency{"avx512f", "avx512vl"},
    FeatureDependency{"avx512f", "avx512vbmi"},
    FeatureDependency{"avx512f", "avx512_vbmi2"},
    FeatureDependency{"avx512f", "avx512_vnni"},
    FeatureDependency{"avx512f", "avx512_bitalg"},
    FeatureDependency{"avx512f", "avx512_vpopcntdq"},
    FeatureDependency{"avx512f", "avx512_4vnniw"},
    FeatureDependency{"avx512f", "avx512_4fmaps"},
    FeatureDependency{"avx512f", "avx512_vp2intersect"},
    FeatureDependency{"avx512f", "avx512_bf16"},
    FeatureDependency{"avx512f", "avx512_fp16"},
};

}  // namespace

std::span<const FeatureWord> feature_words() {
  return kWords;
}
std::span<const FeatureDependency> feature_dependencies() {
  return kDependencies;
}

}  // namespace gpuvm
