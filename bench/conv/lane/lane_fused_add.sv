// A carry chain whose bits add two functions, as half an ALM in arithmetic mode does:
// f(a, b, c, d) + g(a, b, c, e), modulo 2^Width. F and G: truth tables, index {d or e, c, b, a}.
// For synthesis in Yosys' cells, which are what is counted; otherwise the same in whole words.
module lane_fused_add #(
  parameter int Width = 16,
  parameter logic [15:0] F = 16'h0,
  parameter logic [15:0] G = 16'h0
) (
  input  logic [Width-1:0] a_i,
  input  logic [Width-1:0] b_i,
  input  logic [Width-1:0] c_i,
  input  logic [Width-1:0] d_i,
  input  logic [Width-1:0] e_i,
  output logic [Width-1:0] sum_o
);
`ifdef SYNTHESIS
  logic [Width:0] carry;
  assign carry[0] = 1'b0;
  for (genvar i = 0; i < Width; i++) begin : g_bit
    // The cell adds the complement of its second function.
    MISTRAL_ALUT_ARITH #(
      .LUT0(F), .LUT1(~G)
    ) u_bit (
      .A(a_i[i]), .B(b_i[i]), .C(c_i[i]), .D0(d_i[i]), .D1(e_i[i]),
      .CI(carry[i]), .SO(sum_o[i]), .CO(carry[i+1])
    );
  end
`else
  logic [Width-1:0] f, g;
  always_comb begin
    f = '0;
    g = '0;
    for (int i = 0; i < 16; i++) begin
      if (F[i]) begin
        f |= (i[0] ? a_i : ~a_i) & (i[1] ? b_i : ~b_i) & (i[2] ? c_i : ~c_i) & (i[3] ? d_i : ~d_i);
      end
      if (G[i]) begin
        g |= (i[0] ? a_i : ~a_i) & (i[1] ? b_i : ~b_i) & (i[2] ? c_i : ~c_i) & (i[3] ? e_i : ~e_i);
      end
    end
  end
  assign sum_o = f + g;
`endif
endmodule
