// A pixel's ring between lines of Units channels and nine channels an iteration: the line is shifted
// by the bytes that are there, one barrel shifter; nine bytes leave unless they are held.
module block_ring #(
  parameter int Units = 16
) (
  input  logic clk_i,
  input  logic begins_i,
  input  logic wants_i,
  input  logic fires_i,
  input  logic holds_i,
  input  logic [3:0] fill_i,
  input  logic [8*Units-1:0] line_i,
  output logic [71:0] taps_o
);
  localparam int Words = (8 + Units) / 8;
  localparam int Bits = 64 * Words;
  logic [Bits-1:0] ring_q, kept, moved, full;
  assign kept = begins_i ? '0 : ring_q;
  logic [Bits-1:0] part;
  assign part = Bits'(line_i) << {fill_i[2:0], 3'b0};
  assign moved = fill_i[3] ? part << 64 : part;
  assign full = wants_i ? kept | moved : kept;
  assign taps_o = full[71:0];
  always_ff @(posedge clk_i) ring_q <= fires_i && !holds_i ? full >> 72 : full;
endmodule
