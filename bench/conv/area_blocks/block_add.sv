// A residual addition of two codes: both to the finer grid, one sum, one rounding, clamp to
// constants. Bits: of the run-time shifts (0: all are constants, 0).
module block_add #(
  parameter int Bits = 0
) (
  input  logic clk_i,
  input  logic valid_i,
  input  logic adds_i,
  input  logic [7:0] own_i,
  input  logic [7:0] skip_i,
  input  logic [(Bits > 0 ? Bits : 1)-1:0] own_left_i,
  input  logic [(Bits > 0 ? Bits : 1)-1:0] skip_left_i,
  input  logic [(Bits > 0 ? Bits : 1)-1:0] sum_left_i,
  input  logic [(Bits > 0 ? Bits : 1)-1:0] sum_right_i,
  output logic [7:0] code_o
);
  localparam int Wide = 10 + 2 * ((1 << Bits) - 1);
  logic signed [Wide-1:0] sum_q, rounded_q, wide, offset;
  logic [7:0] clamped, own_q, own_qq;
  if (Bits > 0) begin : g_shifts
    logic signed [Wide-1:0] odd;
    always_ff @(posedge clk_i) begin
      sum_q <= (Wide'(own_i) << own_left_i) + (Wide'(skip_i) << skip_left_i);
      rounded_q <= (wide + offset) >>> sum_right_i;
    end
    assign wide = sum_q <<< sum_left_i;
    assign odd = wide >>> sum_right_i;
    assign offset = ((Wide'(1) << (sum_right_i - 1'b1)) - 1 + {{Wide-1{1'b0}}, odd[0]})
                    & {Wide{sum_right_i != '0}};
  end else begin : g_plain
    always_ff @(posedge clk_i) rounded_q <= Wide'(own_i) + Wide'(skip_i);
  end
  assign clamped = rounded_q < 0 ? 8'd0 : rounded_q > 255 ? 8'd255 : rounded_q[7:0];
  always_ff @(posedge clk_i) begin
    own_q <= own_i;
    own_qq <= own_q;
    code_o <= adds_i ? clamped & {8{valid_i}} : (Bits > 0 ? own_qq : own_q);
  end
endmodule
