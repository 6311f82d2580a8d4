// RUN: semdns-opt %s -route-to-vector -split-input-file -verify-diagnostics

// expected-error @+1 {{route-to-vector needs exactly one route.program}}
module {
}

// -----

// expected-error @+1 {{route-to-vector needs exactly one route.program}}
module {
  route.program @a zones 1 terms 0 {
    route.root
  }
  route.program @b zones 1 terms 0 {
    route.root
  }
}
