/// \file Small random artifacts for tests: a seeded model in which vocabulary and classes belong
/// together, packed by lib/pack. The same options give the same bytes everywhere.
#pragma once

#include "lib/pack/model.h"
#include "lib/spec/tree.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace semdns::test {

struct ModelOptions {
  uint64_t seed = 1;
  uint32_t domains = 4;      ///< zones below the root
  uint32_t leaves = 4;       ///< zones below each domain; every second domain has a level more
  bool innerClasses = false; ///< domains have a class of their own too
  bool rootClass = false;    ///< class 0 belongs to the root
  bool embedding = true;     ///< false: keywords alone, no classes
  bool engines = true;
  uint32_t dim = 64; ///< multiple of 16
  uint32_t wordNgramMax = 2;
  uint32_t charMin = 0, charMax = 0;
  bool punct = false;
  uint32_t wordsPerClass = 12;
  uint32_t terms = 30; ///< of stage 1
  uint32_t gain = 1500;
  uint32_t layout = 0;       ///< of CENT: 1, 2, 4, or 0 = what lib/pack chooses
  uint32_t encoderWidth = 0; ///< of stage 3's head; 0: none
  uint32_t beamWidth = 0;    ///< 0: stage 2 scores all classes
  uint32_t beamAim = 4;      ///< entries of a node
};

struct TestModel {
  ModelOptions options;
  spec::ZoneTree tree;
  pack::RoutingModel model;
  std::vector<std::string> vocabulary; ///< words of class c: [c * wordsPerClass, + wordsPerClass)
  std::string text;                    ///< TEXT section
  std::string wpce, encm;              ///< sections of stage 3, see with_encoder.h
  uint32_t layout = 0;
};

/// `textSection` empty: the table of asciiTextSection.
TestModel makeModel(const ModelOptions &options, std::string textSection = {});

/// A TEXT section that needs no ICU: ASCII as ICU has it, every other code point one letter.
std::string asciiTextSection();

struct KernelSection {
  uint32_t isa;
  std::string elf;
};

/// The whole file; its META name is "random"; `gpu` is a KGPU section of PTX, or empty. Aborts when
/// lib/pack refuses the model.
std::string packArtifact(const TestModel &model, const std::vector<KernelSection> &kernels = {},
                         uint64_t serial = 7, const std::string &gpu = {});

/// The sections' bytes as the file has them, for tests below the container.
struct SectionBytes {
  std::string ztre, keyw, tokv, cent, clsf;
  std::string beam; ///< empty without one
  std::string head; ///< empty without a head
};
SectionBytes packSections(const TestModel &model);

/// Words of one class, some of others, punctuation and unknown words: about `words` of them.
std::string randomText(std::mt19937_64 &random, const TestModel &model, uint32_t words);
/// Bytes that hate parsers: overlong and truncated UTF-8, NULs, surrogates, marks, long runs.
std::string hostileText(std::mt19937_64 &random, uint32_t size);

} // namespace semdns::test
