#include "lib/codegen/encode.h"

#include "kernels/encode.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicsX86.h"

#include <cstring>

namespace semdns::codegen {
namespace {

using namespace llvm;

/// Gives the declared constant `name` these words.
void defineWords(Module &module, StringRef name, ArrayRef<uint32_t> words) {
  auto *data = ConstantDataArray::get(module.getContext(), words);
  auto *global = new GlobalVariable(module, data->getType(), /*isConstant=*/true,
                                    GlobalValue::InternalLinkage, data);
  global->setAlignment(Align(64));
  if (GlobalVariable *declared = module.getNamedGlobal(name)) {
    declared->replaceAllUsesWith(global);
    declared->eraseFromParent();
  }
  global->setName(name);
}

/// The shape of tiles, by how many vector registers there are: each row of a tile takes 64 bytes of
/// them, and a few more hold weights.
uk_encode_level levelOf(const target::IsaTraits &isa) {
  if (isa.isa == SEMDNS_ISA_X86_64_V4_VNNI)
    return {isa.lhsBias, 8, 2};
  if (isa.vectorBytes == 64)
    return {0, 8, 1};
  return isa.vectorBytes == 32 ? uk_encode_level{0, 4, 1} : uk_encode_level{0, 2, 1};
}

/// sums += inputs . line by a level's instructions, `width` bytes at a time. All three are vectors
/// of that width, as i32 (sums) or i8.
Value *dot(IRBuilder<> &b, const target::IsaTraits &isa, Value *sums, Value *inputs, Value *line) {
  const unsigned width = isa.vectorBytes;
  auto *bytes = FixedVectorType::get(b.getInt8Ty(), width);
  auto *words = FixedVectorType::get(b.getInt16Ty(), width / 2);
  if (isa.isa == SEMDNS_ISA_X86_64_V4_VNNI)
    return b.CreateIntrinsic(Intrinsic::x86_avx512_vpdpbusd_512, {sums, inputs, line});
  // |weight| * (input with the weight's sign), pairs at most 2 * 127 * 127 and thus exact. What
  // depends on weights alone is shared by the tile's rows.
  Value *size = b.CreateBinaryIntrinsic(Intrinsic::abs, line, b.getFalse());
  Value *turned;
  if (width == 16)
    turned = b.CreateIntrinsic(Intrinsic::x86_ssse3_psign_b_128, {inputs, line});
  else if (width == 32)
    turned = b.CreateIntrinsic(Intrinsic::x86_avx2_psign_b, {inputs, line});
  else
    turned = b.CreateSelect(b.CreateICmpSLT(line, Constant::getNullValue(bytes)),
                            b.CreateNeg(inputs), inputs);
  const Intrinsic::ID pairs = width == 16   ? Intrinsic::x86_ssse3_pmadd_ub_sw_128
                              : width == 32 ? Intrinsic::x86_avx2_pmadd_ub_sw
                                            : Intrinsic::x86_avx512_pmaddubs_w_512;
  const Intrinsic::ID fours = width == 16   ? Intrinsic::x86_sse2_pmadd_wd
                              : width == 32 ? Intrinsic::x86_avx2_pmadd_wd
                                            : Intrinsic::x86_avx512_pmaddw_d_512;
  Value *two = b.CreateIntrinsic(pairs, {size, turned});
  return b.CreateAdd(sums, b.CreateIntrinsic(fours, {two, ConstantInt::get(words, 1)}));
}

/// void uk_dot4(ptr sums, i32 four, ptr line)
void defineDot4(Module &module, const target::IsaTraits &isa) {
  Function *f = module.getFunction("uk_dot4");
  if (!f)
    return;
  IRBuilder<> b(BasicBlock::Create(module.getContext(), "", f));
  const unsigned width = isa.vectorBytes;
  auto *bytes = FixedVectorType::get(b.getInt8Ty(), width);
  auto *ints = FixedVectorType::get(b.getInt32Ty(), width / 4);
  Value *inputs = b.CreateBitCast(b.CreateVectorSplat(width / 4, f->getArg(1)), bytes);
  for (unsigned at = 0; at < 64; at += width) {
    Value *sums = b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), f->getArg(0), at);
    Value *line = b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), f->getArg(2), at);
    Value *sum = dot(b, isa, b.CreateAlignedLoad(ints, sums, Align(width)), inputs,
                     b.CreateAlignedLoad(bytes, line, Align(width)));
    b.CreateAlignedStore(sum, sums, Align(width));
  }
  b.CreateRetVoid();
}

} // namespace

void defineEncode(Module &module, const target::IsaTraits &isa, const semdns_encm_header &shape) {
  uint32_t words[sizeof shape / 4];
  std::memcpy(words, &shape, sizeof shape);
  defineWords(module, "uk_encode_shape", words);
  const uk_encode_level level = levelOf(isa);
  defineWords(module, "uk_encode_target", {level.bias, level.tokens, level.groups});
  defineDot4(module, isa);
}

} // namespace semdns::codegen
