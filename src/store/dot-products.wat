;; Dot products of one query with vectors that lie one after the other, as float32.
;; Sixteen partial sums in four registers, so that an addition need not wait for the one before it.
;; dot-products.ts holds the compiled bytes and, in plain JS, the same sums in the same order.
(module
  (memory (export "memory") 0)

  ;; Addresses and $size (of one vector) in bytes; $size is a multiple of 64, and both it and $count are above 0.
  (func (export "dot_products")
    (param $query i32) (param $vector i32) (param $count i32) (param $size i32) (param $out i32)
    (local $at i32) (local $end i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $query) (local.get $size)))
    (loop $vectors
      (local.set $at (local.get $query))
      (local.set $a (v128.const f32x4 0 0 0 0))
      (local.set $b (v128.const f32x4 0 0 0 0))
      (local.set $c (v128.const f32x4 0 0 0 0))
      (local.set $d (v128.const f32x4 0 0 0 0))
      (loop $components
        (local.set $a (f32x4.add (local.get $a)
          (f32x4.mul (v128.load (local.get $at)) (v128.load (local.get $vector)))))
        (local.set $b (f32x4.add (local.get $b)
          (f32x4.mul (v128.load offset=16 (local.get $at)) (v128.load offset=16 (local.get $vector)))))
        (local.set $c (f32x4.add (local.get $c)
          (f32x4.mul (v128.load offset=32 (local.get $at)) (v128.load offset=32 (local.get $vector)))))
        (local.set $d (f32x4.add (local.get $d)
          (f32x4.mul (v128.load offset=48 (local.get $at)) (v128.load offset=48 (local.get $vector)))))
        (local.set $vector (i32.add (local.get $vector) (i32.const 64)))
        (br_if $components
          (i32.ne (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $end))))
      (local.set $a (f32x4.add
        (f32x4.add (local.get $a) (local.get $c))
        (f32x4.add (local.get $b) (local.get $d))))
      (f32.store (local.get $out) (f32.add
        (f32.add (f32x4.extract_lane 0 (local.get $a)) (f32x4.extract_lane 2 (local.get $a)))
        (f32.add (f32x4.extract_lane 1 (local.get $a)) (f32x4.extract_lane 3 (local.get $a)))))
      (local.set $out (i32.add (local.get $out) (i32.const 4)))
      (br_if $vectors
        (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
)
