// The controller's walk: six nested counters and how address, row and tile change with each.
module block_walk (
  input  logic clk_i,
  input  logic begins_i,
  input  logic steps_i,
  input  logic [191:0] bound_i,
  input  logic [95:0] start_i,
  input  logic [575:0] change_i,
  input  logic [31:0] rows_i,
  input  logic [31:0] tiles_i,
  output logic inside_o,
  output logic [31:0] address_o
);
  logic [5:0] last;
  logic [2:0] chosen;
  logic signed [31:0] y, t;
  logic [191:0] counts;
  for (genvar i = 0; i < 6; i++) begin : g_last
    assign last[i] = counts[32*i +: 32] == bound_i[32*i +: 32] - 1;
  end
  always_comb begin
    chosen = 3'd5;
    for (int i = 4; i >= 0; i--) if (!last[i]) chosen = 3'(i);
  end
  assign inside_o = y >= 0 && y < $signed(rows_i) && t >= 0 && t < $signed(tiles_i);
  always_ff @(posedge clk_i) begin
    if (begins_i) begin
      counts <= '0;
      address_o <= start_i[31:0];
      y <= start_i[63:32];
      t <= start_i[95:64];
    end else if (steps_i) begin
      address_o <= address_o + change_i[96*chosen +: 32];
      y <= y + change_i[96*chosen+32 +: 32];
      t <= t + change_i[96*chosen+64 +: 32];
      for (int i = 0; i < 6; i++) begin
        if (3'(i) < chosen) counts[32*i +: 32] <= '0;
        else if (3'(i) == chosen) counts[32*i +: 32] <= last[i] ? '0 : counts[32*i +: 32] + 1;
      end
    end
  end
endmodule
