// RUN: semdns-opt %s -route-to-vector=lhs-bias=64 -verify-diagnostics

// expected-error @+1 {{route-to-vector: lhs-bias is 64, must be 0 or 128}}
module {
  route.program @a zones 1 terms 0 {
    route.root
  }
}
